"""What every store answers, one suite for all of them."""

from __future__ import annotations

import pytest

from weighbridge.core.ledger import (
    LARGEST,
    Charge,
    Counter,
    Counters,
    Entries,
    Entry,
    Granted,
    Hold,
    Moved,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    Settled,
    Short,
    State,
)
from weighbridge.ledger import Store

MINUTE = 60_000
HOUR = 60 * MINUTE
USD = Counter("month", "nano_usd", "month", (("team", "a & b|c"),), 0, 30 * 24 * HOUR)
REQUESTS = Counter("calls", "requests", "lifetime", ())
TOKENS = Counter("day", "tokens", "day", (("team", "zürich"), ("model", "")), 0, 24 * HOUR)
LEASE = 1000


def one(amount: int, limit: int | None = 100, counter: Counter = USD) -> tuple[Hold, ...]:
    return (Hold(counter, limit, amount),)


def peek(store: Store, counter: Counter = USD) -> State:
    return store.run(Peek((counter,)))[0]


def test_nothing_touched_is_nothing(store: Store) -> None:
    assert store.run(Peek((USD, REQUESTS))) == (State(0, 0), State(0, 0))
    assert store.run(Peek(())) == ()
    assert store.run(Counters()) == ()
    assert store.run(OpenHolds()) == ()
    assert store.run(Entries()) == ()


def test_holds_on_every_counter(store: Store) -> None:
    holds = (Hold(USD, 1000, 10, 1500), Hold(REQUESTS, 5, 1), Hold(TOKENS, None, 3, 1000))
    answer = store.run(Reserve("r", holds, want=101, least=101, lease_ms=LEASE, now=7))
    assert answer == Granted(101, (State(0, 162), State(0, 1), State(0, 104)), 7, 101)
    assert store.run(Peek((TOKENS, USD))) == (State(0, 104), State(0, 162))
    assert store.run(OpenHolds()) == (("r", 7 + LEASE),)


@pytest.mark.parametrize(
    ("limit", "units"),
    [(160, 100), (159, 99), (157, 98), (13, 2), (12, 1), (11, 0), (10, 0), (9, -1)],
)
def test_grants_what_there_is_room_for(store: Store, limit: int, units: int) -> None:
    """10 fixed and 1.5 a unit, rounded up, at least one unit."""
    holds = (Hold(USD, limit, 10, 1500), Hold(REQUESTS, 9, 1))
    answer = store.run(Reserve("r", holds, want=100, least=1, now=0))
    if units < 1:
        assert answer == Short((State(0, 0), State(0, 0)), (0,), units, 0)
        assert store.run(OpenHolds()) == ()
    else:
        assert answer == Granted(units, (State(0, 10 + -(-units * 3 // 2)), State(0, 1)), 0, units)


def test_refusal_names_every_counter_in_the_way(store: Store) -> None:
    store.run(Settle("past", (Charge(USD, 60), Charge(TOKENS, 7)), now=0))
    holds = (Hold(USD, 100, 0, 1000), Hold(REQUESTS, 5, 1), Hold(TOKENS, 20, 5, 1000), Hold(TOKENS, None, 0, 0))
    answer = store.run(Reserve("r", holds, want=41, least=41, now=0))
    assert answer == Short((State(60, 0), State(0, 0), State(7, 0), State(7, 0)), (0, 2), 8, 0)
    assert peek(store, REQUESTS) == State(0, 0)
    assert store.run(Reserve("r", holds, want=41, least=8, now=0)).units == 8  # type: ignore[union-attr]


def test_shadow_never_refuses(store: Store) -> None:
    answer = store.run(Reserve("r", one(10**12, limit=None), now=0))
    assert answer == Granted(0, (State(0, 10**12),), 0, 0)


def test_a_limit_of_zero_refuses_all_but_nothing(store: Store) -> None:
    assert isinstance(store.run(Reserve("r", one(1, limit=0), now=0)), Short)
    assert isinstance(store.run(Reserve("s", one(0, limit=0), now=0)), Granted)


def test_two_holds_on_one_counter_add_up(store: Store) -> None:
    holds = (Hold(USD, 100, 10, 333), Hold(USD, 100, 5, 334))
    answer = store.run(Reserve("r", holds, want=1000, least=1, now=0))
    assert answer == Granted(126, (State(0, 100), State(0, 100)), 0, 126)
    assert holds[0].amount(126) + holds[1].amount(126) == 100
    store.run(Settle("r", now=1))
    assert peek(store) == State(0, 0)


def test_no_counters_at_all(store: Store) -> None:
    assert store.run(Reserve("r", (), want=5, least=5, now=3)) == Granted(5, (), 3, 5)
    assert store.run(Settle("r", now=4)) == Settled("settled", 4)


def test_the_largest_amounts_stay_exact(store: Store) -> None:
    assert store.run(Reserve("r", one(LARGEST - 1, limit=LARGEST), now=0)) == Granted(0, (State(0, LARGEST - 1),), 0, 0)
    assert isinstance(store.run(Reserve("s", one(2, limit=LARGEST), now=0)), Short)
    assert store.run(Reserve("t", one(1, limit=LARGEST), now=0)) == Granted(0, (State(0, LARGEST),), 0, 0)
    store.run(Settle("r", (Charge(USD, LARGEST),), now=0))
    store.run(Settle("t", (Charge(USD, 5),), now=0))
    assert peek(store) == State(LARGEST, 0)


def test_the_same_id_again_holds_nothing_more(store: Store) -> None:
    wide = (Hold(USD, 100, 10, 1000),)
    assert store.run(Reserve("r", wide, want=500, least=1, now=0)) == Granted(90, (State(0, 100),), 0, 90)
    assert store.run(Reserve("r", wide, want=500, least=400, now=1)) == Granted(90, (State(0, 100),), 1, 90)
    after = 31 * 24 * HOUR
    assert store.run(Reserve("r", wide, want=1, now=after)).units == 90  # type: ignore[union-attr]


def test_an_ended_id_holds_nothing_again(store: Store) -> None:
    store.run(Reserve("r", (Hold(USD, 100, 10, 1000),), want=5, least=5, now=0))
    store.run(Settle("r", (Charge(USD, 3),), now=1))
    assert store.run(Reserve("r", one(10), now=2)) == Granted(5, (State(3, 0),), 2, 5)
    assert store.run(OpenHolds()) == ()


def test_a_release_that_overtakes_its_reserve(store: Store) -> None:
    assert store.run(Settle("r", now=1)) == Settled("late", 1)
    assert store.run(Reserve("r", one(10), want=5, least=5, now=2)) == Granted(0, (State(0, 0),), 2, 0)
    assert peek(store) == State(0, 0)


@pytest.mark.parametrize(("now", "inside"), [(999, False), (1000, True), (1999, True), (2000, False)])
def test_only_inside_the_window(store: Store, now: int, inside: bool) -> None:
    counter = Counter("minute", "requests", "minute", (), 1000, 2000)
    answer = store.run(Reserve("r", (Hold(REQUESTS, 5, 1), Hold(counter, 5, 1)), now=now))
    assert isinstance(answer, Granted) if inside else answer == Moved(now)
    assert peek(store, REQUESTS) == State(0, int(inside))


def test_settles_once(store: Store) -> None:
    store.run(Reserve("r", one(90), now=0))
    settle = Settle("r", (Charge(USD, 120), Charge(TOKENS, 4)), Entry("r"), now=5)
    assert store.run(settle) == Settled("settled", 5, (State(120, 0), State(4, 0)))
    assert store.run(settle) == Settled("already", 5)
    assert store.run(Peek((USD, TOKENS))) == (State(120, 0), State(4, 0))
    assert len(store.run(Entries())) == 1


def test_charges_on_one_counter_add_up(store: Store) -> None:
    settled = store.run(Settle("r", (Charge(USD, 2), Charge(USD, 3)), now=0))
    assert settled.states == (State(5, 0), State(5, 0))
    assert peek(store) == State(5, 0)


def test_a_late_settle_charges_and_gives_nothing_back_twice(store: Store) -> None:
    store.run(Reserve("r", one(90), lease_ms=LEASE, now=0))
    store.run(Reserve("other", one(10), lease_ms=10 * LEASE, now=0))
    assert store.run(Settle("r", (Charge(USD, 20),), now=LEASE)) == Settled("late", LEASE, (State(20, 10),))
    assert peek(store) == State(20, 10)
    assert store.run(Settle("r", (Charge(USD, 20),), now=LEASE)).outcome == "already"
    assert store.run(Settle("never", (Charge(USD, 1),), now=LEASE)).outcome == "late"
    assert peek(store) == State(21, 10)


def test_a_late_settle_that_nobody_had_swept(store: Store) -> None:
    """More have expired than a verb ends in passing."""
    for number in range(5):
        store.run(Reserve(f"r{number}", one(10), lease_ms=LEASE + number, now=0))
    assert store.run(Settle("r4", (Charge(USD, 7),), now=LEASE + 4)) == Settled("late", LEASE + 4, (State(7, 20),))


def test_settles_into_the_window_that_admitted(store: Store) -> None:
    store.run(Reserve("r", one(50, counter=TOKENS), lease_ms=48 * HOUR, now=0))
    store.run(Settle("r", (Charge(TOKENS, 7),), now=30 * HOUR))
    assert peek(store, TOKENS) == State(7, 0)


def test_an_expired_hold_gives_its_room_back(store: Store) -> None:
    store.run(Reserve("r", one(100), lease_ms=LEASE, now=0))
    assert isinstance(store.run(Reserve("s", one(1), now=LEASE - 1)), Short)
    assert isinstance(store.run(Reserve("s", one(100), now=LEASE)), Granted)
    assert peek(store) == State(0, 100)


def test_no_phantom_refusal_after_many_expired(store: Store) -> None:
    """More than a verb sweeps in passing."""
    for number in range(20):
        store.run(Reserve(f"r{number}", (Hold(USD, 100, 5), Hold(TOKENS, None, 2)), lease_ms=LEASE, now=0))
    assert isinstance(store.run(Reserve("s", one(100), now=LEASE)), Granted)
    assert isinstance(store.run(Reserve("t", one(9, limit=9, counter=TOKENS), now=LEASE)), Granted)
    assert store.run(Peek((USD, TOKENS))) == (State(0, 100), State(0, 9))
    assert [name for name, _ in store.run(OpenHolds())] == ["s", "t"]


def test_no_phantom_clamp_after_many_expired(store: Store) -> None:
    for number in range(10):
        store.run(Reserve(f"r{number}", one(10), lease_ms=LEASE, now=0))
    answer = store.run(Reserve("s", (Hold(USD, 100, 0, 1000),), want=100, least=1, now=LEASE))
    assert answer == Granted(100, (State(0, 100),), LEASE, 100)


def test_expired_holds_are_ended_in_passing_and_then_further_ones(store: Store) -> None:
    """A verb sweeps 2, and 50 more before it says that there is no room: all 52 are needed."""
    for number in range(52):
        store.run(Reserve(f"r{number}", one(1, limit=52), lease_ms=LEASE, now=0))
    assert isinstance(store.run(Reserve("s", one(52, limit=52), now=LEASE)), Granted)


def test_renewal(store: Store) -> None:
    store.run(Reserve("r", one(100), lease_ms=LEASE, now=0))
    assert store.run(Renew("r", lease_ms=LEASE, now=600)) is True
    assert store.run(Renew("r", lease_ms=1, now=700)) is True, "a lease is never shortened"
    assert isinstance(store.run(Reserve("s", one(1), now=1599)), Short)
    assert store.run(Renew("r", lease_ms=LEASE, now=1600)) is False
    assert store.run(Renew("nobody", now=0)) is False
    store.run(Settle("r", now=1601))
    assert store.run(Renew("r", now=0)) is False


def test_counters_by_policy(store: Store) -> None:
    store.run(Settle("r", (Charge(USD, 5), Charge(TOKENS, 6), Charge(REQUESTS, 7)), now=0))
    assert dict(store.run(Counters())) == {USD: State(5, 0), TOKENS: State(6, 0), REQUESTS: State(7, 0)}
    assert store.run(Counters("day")) == ((TOKENS, State(6, 0)),)


def test_journal_pages(store: Store) -> None:
    for number in range(5):
        entry = Entry(f"r{number}", team="a", tags={"run": "ü"}, model="m", input=number, overrun_nano_usd=3)
        store.run(Settle(f"r{number}", (Charge(USD, number),), entry, now=1000 + number // 2))
    everything = store.run(Entries())
    assert [entry.id for entry in everything] == ["r0", "r1", "r2", "r3", "r4"]
    assert [entry.at for entry in everything] == [1000, 1000, 1001, 1001, 1002]
    assert everything[3].charges == ((USD.field, 3),)
    assert everything[3].tags == {"run": "ü"}
    assert (everything[3].input, everything[3].overrun_nano_usd, everything[3].user) == (3, 3, "")
    first = store.run(Entries(since=1001, most=2))
    assert first == everything[2:4]
    assert store.run(Entries(since=1001, after=first[-1].cursor)) == everything[4:]
    assert store.run(Entries(after=everything[-1].cursor)) == ()


def test_a_backward_clock_keeps_the_journal_in_order(store: Store) -> None:
    for name, now in (("a", 5000), ("b", 4000), ("c", 6000)):
        store.run(Settle(name, (), Entry(name), now=now))
    assert [(entry.id, entry.at) for entry in store.run(Entries())] == [("a", 5000), ("b", 5000), ("c", 6000)]


def test_a_backward_clock_reopens_nothing(store: Store) -> None:
    store.run(Reserve("r", one(100), lease_ms=LEASE, now=5000))
    store.run(Settle("t", now=5000 + LEASE))
    assert store.run(Renew("r", now=0)) is False
    assert store.run(Settle("r", (Charge(USD, 1),), now=0)).outcome == "late"
    assert peek(store) == State(1, 0)


def test_goes_by_its_own_clock(store: Store) -> None:
    answer = store.run(Reserve("r", one(1, counter=REQUESTS), lease_ms=LEASE))
    assert isinstance(answer, Granted)
    assert store.run(OpenHolds()) == (("r", answer.now + LEASE),)
    settled = store.run(Settle("r", (), Entry("r")))
    assert settled.now >= answer.now
    assert abs(store.run(Entries())[0].at - settled.now) < MINUTE
