"""The audit's verbs on the memory ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from weighbridge.core.books import ROOT, Book, Figures, Leaf, Mend, Page, Recount, Recounted, Roots, Row, Step
from weighbridge.core.ledger import LARGEST, State
from weighbridge.ledger.books import Books
from weighbridge.ledger.pages import HEAD, entry_row, purge


def _page(books: Books, verb: Page, now: int) -> Leaf:
    """Of all but the journal, the cursor is the number of rows told before."""
    if verb.book == "journal":
        return _journal(books, verb)
    first = int(verb.cursor or 0)
    rows = tuple(islice(ROWS[verb.book](books), first, first + verb.most))
    return Leaf(rows, str(first + verb.most) if len(rows) == verb.most else "")


def _recount(books: Books, verb: Recount, now: int) -> Recounted:
    held = dict.fromkeys(verb.fields, 0)
    for id in books.leases.times:
        for field, amount in books.holds[id].amounts.items():
            if field in held:
                held[field] += amount
    figures = tuple(_figures(books, field, held[field]) for field in verb.fields)
    holds = tuple((_hold(books, id), books.leases.times.get(id)) for id in verb.ids)
    head = _journal(books, Page("journal", most=HEAD)).rows
    at, count = books.journal.last
    return Recounted(now if verb.now is None else verb.now, figures, holds, head, f"{at}-{count}", True)


def _mend(books: Books, verb: Mend, now: int) -> tuple[bool, ...]:
    """Nothing here is ever unreadable, so there is nothing to set, drop, strike or remove."""
    return tuple(step.way in WAYS and WAYS[step.way](books, step, now) for step in verb.steps)


def _figures(books: Books, field: str, held: int) -> Figures:
    state = books.counters.get(field)
    spent, kept = (None, None) if state is None else (str(state.spent), str(state.held))
    return Figures(spent, kept, str(books.bases.get(field, 0)), held, purge(field))


def _journal(books: Books, verb: Page) -> Leaf:
    at, _, count = verb.cursor.partition("-")
    lines = books.journal.page((int(at), int(count) + 1) if verb.cursor else (0, 0), verb.most)
    rows = tuple(entry_row(f"{place[0]}-{place[1]}", line) for place, line in lines)
    return Leaf(rows, rows[-1].name if len(rows) == verb.most else "")


def _hold(books: Books, id: str) -> Row | None:
    record = books.holds.get(id)
    return None if record is None else Row(id, record.state, record.state, tuple(record.amounts.items()))


def _holds(books: Books) -> Iterator[Row]:
    return (row for id in books.holds if (row := _hold(books, id)))


def _counters(books: Books) -> Iterator[Row]:
    for field, state in books.counters.items():
        yield Row(f"s:{field}", str(state.spent), "spent", ((field, state.spent),))
        yield Row(f"h:{field}", str(state.held), "held", ((field, state.held),))
    for field, base in books.bases.items():
        yield Row(f"b:{field}", str(base), "base", ((field, base),))


def _leases(books: Books) -> Iterator[Row]:
    return (Row(id, str(ends), "", (("", ends),)) for id, ends in books.leases.times.items())


ROWS: Final[Mapping[Book, Callable[[Books], Iterator[Row]]]] = {
    "counters": _counters,
    "holds": _holds,
    "leases": _leases,
    "due": lambda books: iter(()),
}


def _add(books: Books, step: Step, now: int) -> bool:
    if step.number == "base":
        books.bases[step.name] = min(max(books.bases.get(step.name, 0) + step.amount, 0), LARGEST)
        return True
    was = books.counters.get(step.name, State(0, 0))
    lower = min(step.amount + (was.spent if step.number == "spent" else was.held), LARGEST)
    books.add(step.name, 0, 0, step.purge)
    kept = (max(lower, 0), was.held) if step.number == "spent" else (was.spent, max(lower, 0))
    books.counters[step.name] = State(*kept)
    return True


def _end(books: Books, step: Step, now: int) -> bool:
    record = books.holds.get(step.name)
    if record is None or record.state != step.found:
        return False
    record.amounts = {}
    books.end(step.name, "expired", now)
    return True


def _unlease(books: Books, step: Step, now: int) -> bool:
    record = books.holds.get(step.name)
    lone = step.name in books.leases.times and (record is None or record.state != "open")
    if lone:
        books.leases.drop(step.name)
    return lone


WAYS: Final[Mapping[str, Callable[[Books, Step, int], bool]]] = {"add": _add, "end": _end, "unlease": _unlease}

ANSWERS: Final[Mapping[type, Callable[[Books, Any, int], Any]]] = {
    Roots: lambda books, verb, now: (ROOT,),
    Page: _page,
    Recount: _recount,
    Mend: _mend,
}
"""By verb: of the records, the verb and the time."""
