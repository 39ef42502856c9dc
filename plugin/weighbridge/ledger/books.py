"""The memory ledger's records: counters, holds, histories and the journal, and what falls due."""

from __future__ import annotations

import bisect
import heapq
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from weighbridge.core.grant import Expected, Need
from weighbridge.core.history import History
from weighbridge.core.ledger import LARGEST, Charge, Counter, Hold, State
from weighbridge.ledger.upkeep import HISTORY_KEPT, HOUR, Upkeep, purge_at, window

Place = tuple[int, int]
"""Of a journal line: milliseconds, and a count within them."""
MOST_DEAD = 1024
"""Folded journal lines that may wait to be taken off the list."""


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


class Journal:
    """Lines in the order of their places."""

    def __init__(self) -> None:
        self._lines: list[tuple[Place, str]] = []
        self._dead = 0

    def __len__(self) -> int:
        return len(self._lines) - self._dead

    def append(self, line: str, now: int) -> None:
        """Behind the last one, also where the clock went back."""
        last_at, last_count = self._lines[-1][0] if self._lines else (-1, 0)
        self._lines.append(((now, 1) if now > last_at else (last_at, last_count + 1), line))

    def page(self, first: Place, most: int) -> Sequence[tuple[Place, str]]:
        start = bisect.bisect_left(self._lines, first, lo=self._dead, key=lambda line: line[0])
        return self._lines[start : start + most]

    def take(self, most: int) -> list[str]:
        """The oldest lines; they are taken off."""
        lines = [line for _, line in self._lines[self._dead : self._dead + most]]
        self._dead += len(lines)
        if self._dead > MOST_DEAD:
            del self._lines[: self._dead]
            self._dead = 0
        return lines


@dataclass(slots=True)
class Record:
    """A hold, open or ended, as the store remembers it."""

    state: str
    units: int
    covered: int = 0
    amounts: dict[str, int] = field(default_factory=dict)


class Books:
    """Records and how they change; each change is whole.  `bases` holds what journal entries that
    are gone had charged: spent = base + the journal's charges."""

    def __init__(self, upkeep: Upkeep) -> None:
        self.upkeep = upkeep
        self.counters: dict[str, State] = {}
        self.bases: dict[str, int] = {}
        self.holds: dict[str, Record] = {}
        self.histories: dict[str, History] = {}
        self.leases = Agenda()
        self.due = Agenda()
        self.journal = Journal()

    def add(self, name: str, spent: int, held: int, purge: int) -> None:
        was = self.counters.get(name)
        if was is None and purge:
            self.due.set(f"c{name}", purge)
        was = was or State(0, 0)
        self.counters[name] = State(min(was.spent + spent, LARGEST), min(max(was.held + held, 0), LARGEST))

    def state(self, counter: Counter, now: int | None = None) -> State:
        """As it stands; of a rolling window, as `upkeep.window` sees it."""
        found = [self.counters[name] for name in window(counter, now) if name in self.counters]
        spent, held = sum(state.spent for state in found), sum(state.held for state in found)
        return State(min(spent, LARGEST), min(held, LARGEST))

    def states(self, many: Iterable[Hold | Charge], now: int) -> tuple[State, ...]:
        return tuple(self.state(one.counter, now) for one in many)

    def hold(self, id: str, holds: tuple[Hold, ...], more: Need, covered: int) -> None:
        """Hold `more`, for an open record."""
        record = self.holds[id]
        purges = {hold.counter.field: purge_at(hold.counter) for hold in holds}
        for name, amount in more.items():
            if amount or name not in record.amounts:
                self.add(name, 0, amount, purges[name])
                record.amounts[name] = min(record.amounts.get(name, 0) + amount, LARGEST)
        record.covered = covered

    def end(self, id: str, state: str, now: int) -> None:
        record = self.holds.setdefault(id, Record("unknown", 0))
        for name, amount in record.amounts.items():
            if name in self.counters:
                self.add(name, 0, -amount, 0)
        record.state, record.amounts = state, {}
        self.leases.drop(id)
        self.due.set(f"h{id}", now + self.upkeep.retention_ms)

    def expire(self, now: int, most: int) -> None:
        for id in self.leases.take(now, most):
            self.end(id, "expired", now)

    def sweep(self, now: int) -> None:
        self.expire(now, self.upkeep.sweep)
        for member in self.due.take(now, self.upkeep.sweep):
            again = self._forget(member[0], member[1:], now)
            if again is not None:
                self.due.set(member, again)

    def _forget(self, kind: str, name: str, now: int) -> int | None:
        """Forgets what is due; or says when to ask again."""
        if kind == "c" and self.counters[name].held:
            return now + HOUR
        if kind == "o" and self.histories[name].at + HISTORY_KEPT > now:
            return self.histories[name].at + HISTORY_KEPT
        if kind == "c":
            del self.counters[name]
            self.bases.pop(name, None)
        elif kind == "o":
            del self.histories[name]
        else:
            del self.holds[name]
        return None

    def expected(self, holds: tuple[Hold, ...]) -> Expected:
        known = {h.history: self.histories[h.history].expected() for h in holds if h.history in self.histories}
        return {name: output for name, output in known.items() if output is not None}

    def teach(self, names: tuple[str, ...], output: int, now: int) -> None:
        for name in names:
            if name not in self.histories:
                self.due.set(f"o{name}", now + HISTORY_KEPT)
            self.histories[name] = self.histories.get(name, History()).after(output, now)

    def write(self, line: str, now: int) -> None:
        """A line in the journal; the oldest beyond its cap are folded into the bases."""
        self.journal.append(line, now)
        over = len(self.journal) - self.upkeep.journal_cap
        for old in self.journal.take(min(max(over, 0), self.upkeep.fold)):
            for name, amount in json.loads(old)["charges"]:
                if name in self.counters:
                    self.bases[name] = min(self.bases.get(name, 0) + amount, LARGEST)
