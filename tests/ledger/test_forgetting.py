"""What every store forgets, and when."""

from __future__ import annotations

from weighbridge.core.ledger import Charge, Counter, Counters, Hold, Peek, Reserve, Settle, State
from weighbridge.ledger import Store

MINUTE = 60_000
HOUR = 60 * MINUTE
REQUESTS = Counter("calls", "requests", "lifetime", ())
TOKENS = Counter("day", "tokens", "day", (("team", "zürich"), ("model", "")), 0, 24 * HOUR)


def one(amount: int) -> tuple[Hold, ...]:
    return (Hold(TOKENS, 100, amount),)


def peek(store: Store) -> State:
    return store.run(Peek((TOKENS,)))[0]


def test_tombstones_are_forgotten(store: Store) -> None:
    store.run(Settle("r", (Charge(REQUESTS, 1),), now=0))
    assert store.run(Settle("r", (Charge(REQUESTS, 1),), now=10 * MINUTE - 1)).outcome == "already"
    assert store.run(Settle("s", now=10 * MINUTE)).outcome == "late"
    assert store.run(Settle("r", (Charge(REQUESTS, 1),), now=10 * MINUTE)).outcome == "late"


def test_counters_are_forgotten_a_window_later_and_never_while_held(store: Store) -> None:
    store.run(Reserve("r", one(9), lease_ms=60 * HOUR, now=0))
    store.run(Settle("x", (Charge(TOKENS, 5),), now=0))
    tidy = iter(range(1000))
    for now in (48 * HOUR - 1, 48 * HOUR, 48 * HOUR + 1):
        store.run(Settle(f"tidy{next(tidy)}", now=now))
        assert peek(store) == State(5, 9)
    store.run(Settle("r", now=48 * HOUR + 2))
    for _ in range(4):
        store.run(Settle(f"tidy{next(tidy)}", now=49 * HOUR))
    assert store.run(Counters()) == ()
    store.run(Settle("late", (Charge(TOKENS, 1),), now=49 * HOUR))
    assert peek(store) == State(1, 0)
    for _ in range(4):
        store.run(Settle(f"tidy{next(tidy)}", now=50 * HOUR))
    assert store.run(Counters()) == ()


def test_a_forgotten_counter_does_not_come_back_with_what_was_held_on_it(store: Store) -> None:
    store.run(Reserve("r", one(0), lease_ms=60 * HOUR, now=0))
    store.run(Settle("tidy", now=48 * HOUR))
    assert store.run(Counters()) == ()
    assert store.run(Settle("r", now=48 * HOUR)).outcome == "settled"
    assert store.run(Counters()) == ()


def test_lifetime_counters_stay(store: Store) -> None:
    store.run(Settle("r", (Charge(REQUESTS, 5),), now=0))
    for number in range(5):
        store.run(Settle(f"t{number}", now=10**12))
    assert store.run(Counters()) == ((REQUESTS, State(5, 0)),)
