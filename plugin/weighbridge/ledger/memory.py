"""The ledger in this process: what every other store must answer, in plain Python."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar, cast

from weighbridge.core.books import Mend, Page, Recount
from weighbridge.core.grant import decide
from weighbridge.core.ledger import (
    LARGEST,
    Counter,
    Counters,
    Entries,
    Entry,
    Granted,
    Moved,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    Settled,
    Short,
    State,
    Verb,
)
from weighbridge.core.shelves import Fetch, Look, Put, Version
from weighbridge.ledger import memory_pages
from weighbridge.ledger.door import check
from weighbridge.ledger.journal import document_of, document_text, entry_of, entry_text
from weighbridge.ledger.upkeep import HOUR, Upkeep, purge_at

T = TypeVar("T")


class Agenda:
    """What is due when: names in the order of their times, one time a name."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def set(self, name: str, at: int) -> None:
        self.times[name] = at
        heapq.heappush(self._heap, (at, name))

    def drop(self, name: str) -> None:
        self.times.pop(name, None)

    def take(self, now: int, most: int) -> list[str]:
        """Up to `most` names due, the oldest first; they are taken off."""
        taken: list[str] = []
        while len(taken) < most and self._heap and self._heap[0][0] <= now:
            at, name = heapq.heappop(self._heap)
            if self.times.get(name) == at:
                del self.times[name]
                taken.append(name)
        return taken


@dataclass(slots=True)
class Record:
    """A hold, open or ended, as the store remembers it."""

    state: str
    units: int
    amounts: dict[str, int] = field(default_factory=dict)


class MemoryStore:
    """A ledger of one process.  `clock` answers milliseconds; a verb's own `now` goes before it."""

    def __init__(self, clock: Callable[[], int], upkeep: Upkeep | None = None) -> None:
        self._clock = clock
        self._upkeep = upkeep or Upkeep()
        self._lock = Lock()
        self._counters: dict[str, State] = {}
        self._holds: dict[str, Record] = {}
        self._leases = Agenda()
        self._due = Agenda()
        self._journal: list[tuple[tuple[int, int], str]] = []
        self._shelves: dict[str, dict[str, str]] = {}
        self._versions: dict[str, int] = {}

    def run(self, verb: Verb[T]) -> T:
        """See `Store.run`."""
        check(verb)
        with self._lock:
            return cast(T, VERBS[type(verb)](self, verb))

    def close(self) -> None:
        """Nothing to let go of."""

    # Money in and out.

    def _add(self, name: str, spent: int, held: int, purge: int) -> None:
        was = self._counters.get(name)
        if was is None and purge:
            self._due.set(f"c{name}", purge)
        was = was or State(0, 0)
        self._counters[name] = State(min(was.spent + spent, LARGEST), min(max(was.held + held, 0), LARGEST))

    def _end(self, name: str, state: str, now: int) -> None:
        record = self._holds.setdefault(name, Record("unknown", 0))
        for counter, amount in record.amounts.items():
            if counter in self._counters:
                self._add(counter, 0, -amount, 0)
        record.state, record.amounts = state, {}
        self._leases.drop(name)
        self._due.set(f"h{name}", now + self._upkeep.retention_ms)

    def _expire(self, now: int, most: int) -> None:
        for name in self._leases.take(now, most):
            self._end(name, "expired", now)

    def _sweep(self, now: int) -> None:
        self._expire(now, self._upkeep.sweep)
        for member in self._due.take(now, self._upkeep.sweep):
            name = member[1:]
            if member[0] == "h":
                del self._holds[name]
            elif self._counters[name].held:
                self._due.set(member, now + HOUR)
            else:
                del self._counters[name]

    def _state(self, counter: Counter) -> State:
        return self._counters.get(counter.field, State(0, 0))

    # Verbs.

    def _reserve(self, verb: Reserve) -> Granted | Short | Moved:
        now = self._clock() if verb.now is None else verb.now
        self._sweep(now)
        if record := self._holds.get(verb.id):
            return Granted(record.units, self._states(verb), now, record.units)
        if any(h.counter.end and not h.counter.start <= now < h.counter.end for h in verb.holds):
            return Moved(now)
        decided = decide(verb, self._states(verb), now)
        if isinstance(decided, Short) or decided.units < verb.want:
            self._expire(now, self._upkeep.sweep_short)
            decided = decide(verb, self._states(verb), now)
        if isinstance(decided, Granted):
            self._hold(verb, decided.units, now)
        return decided

    def _hold(self, verb: Reserve, units: int, now: int) -> None:
        record = self._holds[verb.id] = Record("open", units)
        for hold in verb.holds:
            name, amount = hold.counter.field, hold.amount(units)
            self._add(name, 0, amount, purge_at(hold.counter))
            record.amounts[name] = min(record.amounts.get(name, 0) + amount, LARGEST)
        self._leases.set(verb.id, now + verb.lease_ms)

    def _states(self, verb: Reserve) -> tuple[State, ...]:
        return tuple(self._state(hold.counter) for hold in verb.holds)

    def _settle(self, verb: Settle) -> Settled:
        now = self._clock() if verb.now is None else verb.now
        self._sweep(now)
        record = self._holds.get(verb.id)
        if record and record.state == "ended":
            return Settled("already", now)
        in_time = record and record.state == "open" and self._leases.times[verb.id] > now
        self._end(verb.id, "ended", now)
        for charge in verb.charges:
            self._add(charge.counter.field, charge.amount, 0, purge_at(charge.counter))
        if verb.entry is not None:
            self._write(entry_text(verb.entry, verb.charges), now)
        return Settled("settled" if in_time else "late", now)

    def _write(self, line: str, now: int) -> None:
        last_at, last_count = self._journal[-1][0] if self._journal else (-1, 0)
        self._journal.append(((now, 1) if now > last_at else (last_at, last_count + 1), line))
        del self._journal[: -self._upkeep.journal_cap]

    def _renew(self, verb: Renew) -> bool:
        now = self._clock() if verb.now is None else verb.now
        ends = self._leases.times.get(verb.id, now)
        if ends <= now:
            return False
        self._leases.set(verb.id, max(ends, now + verb.lease_ms))
        return True

    def _peek(self, verb: Peek) -> tuple[State, ...]:
        return tuple(self._state(counter) for counter in verb.counters)

    def _all_counters(self, verb: Counters) -> tuple[tuple[Counter, State], ...]:
        kept = ((Counter.parse(name), state) for name, state in sorted(self._counters.items()))
        return tuple((counter, state) for counter, state in kept if verb.policy in (None, counter.policy))

    def _open_holds(self, verb: OpenHolds) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self._leases.times.items(), key=lambda lease: (lease[1], lease[0])))

    def _after(self, cursor: str, since: int = 0) -> int:
        """Where in the journal the entries behind a cursor begin, or those of a time."""
        at, _, count = cursor.partition("-")
        first = (int(at), int(count) + 1) if cursor else (since, 0)
        return bisect.bisect_left(self._journal, first, key=lambda line: line[0])

    def _entries(self, verb: Entries) -> tuple[Entry, ...]:
        start = self._after(verb.after, verb.since)
        page = self._journal[start : start + verb.most]
        return tuple(entry_of(line, f"{place[0]}-{place[1]}") for place, line in page)

    def _fetch(self, verb: Fetch) -> Mapping[str, Any]:
        return {name: document_of(text, name) for name, text in sorted(self._shelves.get(verb.shelf, {}).items())}

    def _look(self, verb: Look) -> Any:
        text = self._shelves.get(verb.shelf, {}).get(verb.name)
        return None if text is None else document_of(text, verb.name)

    def _version(self, verb: Version) -> int:
        return self._versions.get(verb.shelf, 0)

    def _put(self, verb: Put) -> int:
        version = self._versions.get(verb.shelf, 0)
        if verb.only_if_empty and version:
            return version
        new = {name: document_text(value, f"{verb.shelf} {name!r}") for name, value in verb.documents.items()}
        shelf = self._shelves.setdefault(verb.shelf, {})
        shelf.update(new)
        for name in verb.drop:
            shelf.pop(name, None)
        self._versions[verb.shelf] = version + 1
        return version + 1


class AsyncMemoryStore:
    """The same ledger for an event loop: nothing in it waits."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def run(self, verb: Verb[T]) -> T:
        return self._store.run(verb)

    async def close(self) -> None:
        self._store.close()


VERBS: Mapping[type, Callable[[MemoryStore, Any], Any]] = {
    Reserve: MemoryStore._reserve,
    Settle: MemoryStore._settle,
    Renew: MemoryStore._renew,
    Peek: MemoryStore._peek,
    Counters: MemoryStore._all_counters,
    OpenHolds: MemoryStore._open_holds,
    Entries: MemoryStore._entries,
    Fetch: MemoryStore._fetch,
    Look: MemoryStore._look,
    Version: MemoryStore._version,
    Put: MemoryStore._put,
    Page: memory_pages.page,
    Recount: memory_pages.recount,
    Mend: memory_pages.mend,
}
