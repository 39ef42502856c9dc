"""The audit's verbs on the memory ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Final

from weighbridge.core.books import Book, Figures, Leaf, Mend, Page, Recount, Recounted, Row, Step
from weighbridge.core.ledger import LARGEST, State
from weighbridge.ledger.pages import HEAD, entry_row, purge

if TYPE_CHECKING:
    from weighbridge.ledger.memory import MemoryStore


def page(store: MemoryStore, verb: Page) -> Leaf:
    """A page of a book.  Its cursor is the number of rows told before."""
    if verb.book == "journal":
        return _journal(store, verb)
    first = int(verb.cursor or 0)
    rows = tuple(islice(ROWS[verb.book](store), first, first + verb.most))
    return Leaf(rows, str(first + verb.most) if len(rows) == verb.most else "")


def recount(store: MemoryStore, verb: Recount) -> Recounted:
    """Counters and holds as they are."""
    held = dict.fromkeys(verb.fields, 0)
    for record in store._holds.values():
        for field, amount in record.amounts.items():
            if field in held:
                held[field] += amount
    figures = tuple(_figures(field, store._counters.get(field), held[field]) for field in verb.fields)
    holds = tuple((_hold(store, id), store._leases.times.get(id)) for id in verb.ids)
    head = _journal(store, Page("journal", most=HEAD)).rows
    last = _cursor(store._journal[-1][0]) if store._journal else ""
    return Recounted(_now(store, verb.now), figures, holds, head, last, True)


def mend(store: MemoryStore, verb: Mend) -> tuple[bool, ...]:
    """Steps taken.  Nothing here is ever unreadable, so there is nothing to set, drop or remove."""
    now = _now(store, verb.now)
    return tuple(step.way in WAYS and WAYS[step.way](store, step, now) for step in verb.steps)


def _now(store: MemoryStore, now: int | None) -> int:
    return store._clock() if now is None else now


def _cursor(place: tuple[int, int]) -> str:
    return f"{place[0]}-{place[1]}"


def _figures(field: str, state: State | None, held: int) -> Figures:
    spent, kept = (None, None) if state is None else (str(state.spent), str(state.held))
    return Figures(spent, kept, None, held, purge(field))


def _journal(store: MemoryStore, verb: Page) -> Leaf:
    lines = store._journal[store._after(verb.cursor) :][: verb.most]
    rows = tuple(entry_row(_cursor(place), line) for place, line in lines)
    return Leaf(rows, rows[-1].name if len(rows) == verb.most else "")


def _hold(store: MemoryStore, id: str) -> Row | None:
    record = store._holds.get(id)
    return None if record is None else Row(id, record.state, record.state, tuple(record.amounts.items()))


def _holds(store: MemoryStore) -> Iterator[Row]:
    return (row for id in store._holds if (row := _hold(store, id)))


def _counters(store: MemoryStore) -> Iterator[Row]:
    for field, state in store._counters.items():
        yield Row(f"s:{field}", str(state.spent), "spent", ((field, state.spent),))
        yield Row(f"h:{field}", str(state.held), "held", ((field, state.held),))


def _leases(store: MemoryStore) -> Iterator[Row]:
    return (Row(id, str(ends), "", (("", ends),)) for id, ends in store._leases.times.items())


ROWS: Final[Mapping[Book, Callable[[MemoryStore], Iterator[Row]]]] = {
    "counters": _counters,
    "holds": _holds,
    "leases": _leases,
    "due": lambda store: iter(()),
}


def _add(store: MemoryStore, step: Step, now: int) -> bool:
    was = store._counters.get(step.name, State(0, 0))
    values = {number: getattr(was, number) for number in ("spent", "held")}
    if step.number not in values:
        return False
    values[step.number] = min(max(values[step.number] + step.amount, 0), LARGEST)
    if step.name not in store._counters and step.purge:
        store._due.set(f"c{step.name}", step.purge)
    store._counters[step.name] = State(**values)
    return True


def _end(store: MemoryStore, step: Step, now: int) -> bool:
    record = store._holds.get(step.name)
    if record is None or record.state != step.found:
        return False
    record.amounts = {}
    store._end(step.name, "expired", now)
    return True


def _unlease(store: MemoryStore, step: Step, now: int) -> bool:
    record = store._holds.get(step.name)
    lone = step.name in store._leases.times and (record is None or record.state != "open")
    if lone:
        store._leases.drop(step.name)
    return lone


def _strike(store: MemoryStore, step: Step, now: int) -> bool:
    kept = [(place, line) for place, line in store._journal if _cursor(place) != step.name]
    struck = len(kept) < len(store._journal)
    store._journal[:] = kept
    return struck


WAYS: Final[Mapping[str, Callable[[MemoryStore, Step, int], bool]]] = {
    "add": _add,
    "end": _end,
    "unlease": _unlease,
    "strike": _strike,
}
