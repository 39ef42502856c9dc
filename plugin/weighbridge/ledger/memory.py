"""The ledger in this process: what every other store must answer, in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, TypeVar, cast

from weighbridge.core.grant import decide, further, needs, stretch
from weighbridge.core.history import Recall
from weighbridge.core.ledger import (
    Counter,
    Counters,
    Ended,
    Entries,
    Entry,
    Extend,
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
from weighbridge.ledger import lessons, memory_pages
from weighbridge.ledger.books import Books, Record
from weighbridge.ledger.door import check
from weighbridge.ledger.journal import document_of, document_text, entry_of, entry_text
from weighbridge.ledger.upkeep import Upkeep, purge_at

T = TypeVar("T")


class MemoryStore:
    """A ledger of one process.  `clock` answers milliseconds; a verb's own `now` goes before it."""

    def __init__(self, clock: Callable[[], int], upkeep: Upkeep | None = None) -> None:
        self.books = Books(upkeep or Upkeep())
        self._clock = clock
        self._lock = Lock()
        self._shelves: dict[str, dict[str, str]] = {}
        self._versions: dict[str, int] = {}
        self._lessons = lessons.Lessons()

    def run(self, verb: Verb[T]) -> T:
        """See `Store.run`."""
        check(verb)
        with self._lock:
            return cast(T, VERBS[type(verb)](self, verb))

    def close(self) -> None:
        """Nothing to let go of."""

    def _now(self, verb: Reserve | Extend | Settle | Renew) -> int:
        return self._clock() if verb.now is None else verb.now

    def _reserve(self, verb: Reserve) -> Granted | Short | Moved:
        now, books = self._now(verb), self.books
        books.sweep(now)
        if record := books.holds.get(verb.id):
            return Granted(record.units, books.states(verb.holds, now), now, record.covered)
        if any(h.counter.end and not h.counter.start <= now < h.counter.end for h in verb.holds):
            return Moved(now)
        expected = books.expected(verb.holds)
        decided = decide(verb, books.states(verb.holds, now), now, expected)
        if isinstance(decided, Short) or decided.units < verb.want:
            books.expire(now, books.upkeep.sweep_short)
            decided = decide(verb, books.states(verb.holds, now), now, expected)
        if isinstance(decided, Granted):
            books.holds[verb.id] = Record("open", decided.units)
            books.hold(verb.id, verb.holds, needs(verb.holds, decided.units, expected), decided.covered)
            books.leases.set(verb.id, now + verb.lease_ms)
        return decided

    def _extend(self, verb: Extend) -> Granted | Short | Ended:
        now, books = self._now(verb), self.books
        books.sweep(now)
        record = books.holds.get(verb.id)
        if record is None or record.state != "open" or books.leases.times[verb.id] <= now:
            return Ended(now)

        def decided() -> Granted | Short:
            states = books.states(verb.holds, now)
            return stretch(verb, record.units, record.covered, record.amounts, states, now)

        answer = decided()
        if isinstance(answer, Short) or answer.covered < min(verb.units, record.units):
            books.expire(now, books.upkeep.sweep_short)
            answer = decided()
        if isinstance(answer, Granted) and answer.covered > record.covered:
            books.hold(verb.id, verb.holds, further(verb.holds, answer.covered, record.amounts), answer.covered)
        return answer

    def _settle(self, verb: Settle) -> Settled:
        now, books = self._now(verb), self.books
        books.sweep(now)
        record = books.holds.get(verb.id)
        if record and record.state == "ended":
            return Settled("already", now)
        in_time = record and record.state == "open" and books.leases.times[verb.id] > now
        books.end(verb.id, "ended", now)
        for charge in verb.charges:
            books.add(charge.counter.field, charge.amount, 0, purge_at(charge.counter))
        if verb.entry is not None:
            books.write(entry_text(verb.entry, verb.charges), now)
        if verb.output is not None:
            books.teach(verb.histories, verb.output, now)
        return Settled("settled" if in_time else "late", now, books.states(verb.charges, now))

    def _renew(self, verb: Renew) -> bool:
        now, leases = self._now(verb), self.books.leases
        ends = leases.times.get(verb.id, now)
        if ends <= now:
            return False
        leases.set(verb.id, max(ends, now + verb.lease_ms))
        return True

    def _recall(self, verb: Recall) -> Mapping[str, int]:
        return self.books.expected(verb.holds)

    def _peek(self, verb: Peek) -> tuple[State, ...]:
        return tuple(self.books.state(counter) for counter in verb.counters)

    def _all_counters(self, verb: Counters) -> tuple[tuple[Counter, State], ...]:
        kept = ((Counter.parse(name), state) for name, state in sorted(self.books.counters.items()))
        return tuple((counter, state) for counter, state in kept if verb.policy in (None, counter.policy))

    def _open_holds(self, verb: OpenHolds) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(self.books.leases.times.items(), key=lambda lease: (lease[1], lease[0])))

    def _entries(self, verb: Entries) -> tuple[Entry, ...]:
        at, _, count = verb.after.partition("-")
        first = (int(at), int(count) + 1) if verb.after else (verb.since, 0)
        page = self.books.journal.page(first, verb.most)
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


def _page(answer: Callable[[Books, Any, int], Any]) -> Callable[[MemoryStore, Any], Any]:
    return lambda store, verb: answer(store.books, verb, store._clock())


def _lesson(answer: Callable[[lessons.Lessons, Any], Any]) -> Callable[[MemoryStore, Any], Any]:
    return lambda store, verb: answer(store._lessons, verb)


VERBS: Mapping[type, Callable[[MemoryStore, Any], Any]] = {
    Reserve: MemoryStore._reserve,
    Extend: MemoryStore._extend,
    Settle: MemoryStore._settle,
    Renew: MemoryStore._renew,
    Peek: MemoryStore._peek,
    Recall: MemoryStore._recall,
    Counters: MemoryStore._all_counters,
    OpenHolds: MemoryStore._open_holds,
    Entries: MemoryStore._entries,
    Fetch: MemoryStore._fetch,
    Look: MemoryStore._look,
    Version: MemoryStore._version,
    Put: MemoryStore._put,
    **{verb: _page(answer) for verb, answer in memory_pages.ANSWERS.items()},
    **{verb: _lesson(answer) for verb, answer in lessons.ANSWERS.items()},
}
