"""Rolling windows: a limit is held against a bucket and the sixty before it, in every store."""

from __future__ import annotations

import pytest

from weighbridge.core.ledger import (
    LARGEST,
    Charge,
    Counter,
    Counters,
    Extend,
    Granted,
    Hold,
    Moved,
    Peek,
    Reserve,
    Settle,
    Short,
    State,
)
from weighbridge.ledger import Store
from weighbridge.ledger.upkeep import window

SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
FIRST = 1_000_000
"""Number of the bucket that the tests begin in."""


def bucket(number: int) -> Counter:
    start = (FIRST + number) * SECOND
    return Counter("calls", "tokens", "rolling 1m", (("team", "a|b"),), start, start + SECOND, MINUTE)


def at(number: int) -> int:
    return (FIRST + number) * SECOND + 500


def hold(number: int, amount: int, limit: int | None = 100) -> tuple[Hold, ...]:
    return (Hold(bucket(number), limit, amount),)


def spend(store: Store, number: int, amount: int) -> None:
    store.run(Settle(f"spent in {number}", (Charge(bucket(number), amount),), now=at(number)))


def test_names_of_a_window() -> None:
    assert window(bucket(0)) == tuple(counter.field for counter in bucket(0).buckets())
    assert len(window(bucket(0))) == 61
    assert window(bucket(0), at(3)) == window(bucket(3))
    assert window(bucket(0), at(60)) == window(bucket(60))
    assert window(bucket(0), at(1000)) == window(bucket(60)), "the last that looks back on it"
    assert window(bucket(0), at(-5)) == window(bucket(0)), "a clock that went back"


def test_a_limit_is_held_against_all_its_buckets(store: Store) -> None:
    spend(store, 0, 40)
    store.run(Reserve("open", hold(5, 30), lease_ms=HOUR, now=at(5)))
    for number in (5, 30, 60):
        assert store.run(Reserve("r", hold(number, 31), now=at(number))) == Short(
            (State(40, 30),), (0,), -1, at(number)
        )
        assert store.run(Peek((bucket(number),))) == (State(40, 30),)
    assert store.run(Peek((bucket(4), bucket(0), bucket(-1)))) == (State(40, 0), State(40, 0), State(0, 0))
    assert store.run(Reserve("r", hold(60, 30), now=at(60))) == Granted(0, (State(40, 60),), at(60), 0)


def test_what_is_old_is_room_again(store: Store) -> None:
    spend(store, 0, 40)
    spend(store, 1, 60)
    assert isinstance(store.run(Reserve("r", hold(60, 1), now=at(60))), Short)
    assert store.run(Reserve("r", hold(61, 40), now=at(61))) == Granted(0, (State(60, 40),), at(61), 0)
    assert isinstance(store.run(Reserve("s", hold(61, 1), now=at(61))), Short)
    assert store.run(Reserve("s", hold(62, 60), now=at(62))) == Granted(0, (State(0, 100),), at(62), 0)


def test_grants_what_there_is_room_for(store: Store) -> None:
    for number in range(3):
        spend(store, number, 10)
    clamped = (Hold(bucket(3), 100, 5, 1500), Hold(bucket(3), 100, 1, 0))
    answer = store.run(Reserve("r", clamped, want=1000, least=1, now=at(3)))
    assert answer == Granted(42, (State(30, 69), State(30, 69)), at(3), 42)


def test_only_in_the_bucket_being_filled(store: Store) -> None:
    for now in (at(0) - SECOND, at(0) + SECOND):
        assert store.run(Reserve("r", hold(0, 1), now=now)) == Moved(now)


def test_charges_the_bucket_that_admitted(store: Store) -> None:
    store.run(Reserve("r", hold(0, 50), lease_ms=HOUR, now=at(0)))
    store.run(Reserve("s", hold(30, 20), lease_ms=HOUR, now=at(30)))
    settled = store.run(Settle("r", (Charge(bucket(0), 7),), now=at(31)))
    assert settled.states == (State(7, 20),), "the window as it has become"
    assert store.run(Peek((bucket(0), bucket(60), bucket(61)))) == (State(7, 0), State(7, 20), State(0, 20))
    store.run(Settle("s", (Charge(bucket(30), 5),), now=at(32)))
    late = store.run(Settle("late", (Charge(bucket(0), 1), Charge(bucket(29), 2)), now=at(500)))
    assert late.states == (State(15, 0), State(7, 0)), "the last windows that look back on the buckets charged"


def test_new_buckets_of_one_window_charged_at_once(store: Store) -> None:
    charges = tuple(Charge(bucket(number), 1) for number in range(3))
    assert store.run(Settle("r", charges, now=at(2))).states == (State(3, 0),) * 3
    assert store.run(Settle("s", charges[:1], now=at(0))).states == (State(2, 0),), "a clock that went back"


def test_the_same_id_again_is_told_what_the_window_has_become(store: Store) -> None:
    store.run(Reserve("r", hold(0, 50), now=at(0)))
    spend(store, 7, 11)
    assert store.run(Reserve("r", hold(0, 50), now=at(7))) == Granted(0, (State(11, 50),), at(7), 0)


def test_extends_within_what_the_window_has_become(store: Store) -> None:
    for number in range(20):
        store.run(Settle(f"t{number}", output=10, histories=("h",), now=at(0)))
    holds = (Hold(bucket(0), 100, 0, 1000, "h"),)
    answer = store.run(Reserve("r", holds, want=1000, least=1000, lease_ms=HOUR, now=at(0)))
    assert answer == Granted(1000, (State(0, 12),), at(0), 12)
    spend(store, 10, 50)
    assert store.run(Extend("r", holds, 60, now=at(10))) == Granted(1000, (State(50, 50),), at(10), 50)
    assert store.run(Extend("r", holds, 60, now=at(11))) == Short((State(50, 50),), (0,), 50, at(11))
    spend(store, 55, 30)
    late = at(500)
    assert store.run(Extend("r", holds, 60, now=late)) == Short((State(80, 50),), (0,), 50, late), "as at bucket 60"


def test_sums_stay_exact_up_to_the_largest(store: Store) -> None:
    spend(store, 0, LARGEST - 2)
    spend(store, 1, 1)
    assert store.run(Peek((bucket(2),))) == (State(LARGEST - 1, 0),)
    assert isinstance(store.run(Reserve("r", hold(2, 2, limit=LARGEST), now=at(2))), Short)
    spend(store, 2, 7)
    assert store.run(Peek((bucket(2),))) == (State(LARGEST, 0),)
    assert store.run(Reserve("r", hold(2, 7, limit=None), now=at(2))) == Granted(0, (State(LARGEST, 7),), at(2), 0)


@pytest.mark.parametrize(("late", "kept"), [(-1, True), (0, False)])
def test_buckets_are_forgotten_an_hour_after_the_last_window_that_saw_them(store: Store, late: int, kept: bool) -> None:
    spend(store, 0, 1)
    store.run(Settle("tidy", now=bucket(0).end + MINUTE + HOUR + late))
    assert dict(store.run(Counters())) == ({bucket(0): State(1, 0)} if kept else {})


def test_a_bucket_that_is_no_whole_part_of_its_window(store: Store) -> None:
    """2.5 buckets long: the three before are looked at."""
    uneven = [Counter("calls", "tokens", "rolling", (), n * SECOND, (n + 1) * SECOND, 2500) for n in range(5)]
    store.run(Settle("r", (Charge(uneven[0], 7),), now=500))
    assert store.run(Peek(tuple(uneven))) == (*[State(7, 0)] * 4, State(0, 0))
    for number, seen in ((3, State(7, 1)), (4, State(0, 2))):
        answer = store.run(Reserve(f"r{number}", (Hold(uneven[number], 9, 1),), now=number * SECOND))
        assert isinstance(answer, Granted) and answer.states == (seen,)
    assert store.run(Settle("s", (Charge(uneven[0], 1),), now=4500)).states == (State(8, 1),)


def test_windows_of_one_scope_keep_apart(store: Store) -> None:
    day = Counter("calls", "tokens", "rolling 1m", (("team", "a|b"),), 0, 10**12)
    other = Counter("calls", "tokens", "rolling 2m", (("team", "a|b"),), FIRST * SECOND, FIRST * SECOND + 2000, 120_000)
    holds = (Hold(day, 9, 1), Hold(bucket(0), 9, 2), Hold(other, 9, 3))
    answer = store.run(Reserve("r", holds, now=at(0)))
    assert answer == Granted(0, (State(0, 1), State(0, 2), State(0, 3)), at(0), 0)
