"""Holds by what such calls returned, and extending them, in every store."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.servers import Proxy, Server
from ledger.stores import fresh
from weighbridge.core.history import History, bin_of, edge
from weighbridge.core.ledger import (
    LARGEST,
    Charge,
    Counter,
    Ended,
    Extend,
    Granted,
    Hold,
    OpenHolds,
    Peek,
    Reserve,
    Settle,
    Short,
    State,
)
from weighbridge.ledger import Store
from weighbridge.ledger.redis import RedisStore

DAY = 86_400_000
USD = Counter("month", "nano_usd", "lifetime", (("team", "a"),))
TOKENS = Counter("day", "tokens", "lifetime", ())
LEASE = 1000
H, G = "month|team=a|gpt 5", "day||gpt 5"


def observed(limit: int | None = 1000, history: str = H) -> Hold:
    return Hold(USD, limit, 5, 1000, history)


def teach(store: Store, outputs: list[int], *histories: str, now: int | None = 0) -> None:
    for number, output in enumerate(outputs):
        verb = Settle(f"{histories} {now} {number}", output=output, histories=histories or (H,), now=now)
        assert store.run(verb).outcome == "late"


def covered(store: Store, now: int = 0, history: str = H) -> int | None:
    """What is held for, of very much; None: all of it."""
    answer = store.run(Reserve(f"probe {now}", (Hold(USD, None, 0, 1, history),), LARGEST // 2, 0, 1, now))
    store.run(Settle(f"probe {now}", now=now))
    assert isinstance(answer, Granted)
    return None if answer.covered == answer.units else answer.covered


EXPECTED = {
    "nothing seen": ([], None),
    "too few": ([10] * 19, None),
    "enough": ([10] * 20, 12),
    "on an edge": ([12] * 20, 12),
    "beyond an edge": ([13] * 20, 16),
    "nothing returned": ([0] * 20, 1),
    "one in twenty is let go": ([10] * 19 + [5000], 12),
    "two in twenty are not": ([10] * 18 + [5000] * 2, 6144),
    "the largest": ([LARGEST // 2] * 20, None),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_to_be_expected(store: Store, name: str) -> None:
    outputs, expected = EXPECTED[name]
    teach(store, outputs)
    assert covered(store) == expected


def test_edges() -> None:
    assert [edge(number) for number in range(10)] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    assert [bin_of(output) for output in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)] == [0, 0, 1, 2, 3, 4, 4, 5, 5, 6]
    assert edge(bin_of(LARGEST)) > LARGEST


def test_the_past_fades() -> None:
    history = History()
    for number in range(10_000):
        history = history.after(1000, number)
        assert sum(often for _, often in history.counts) < 256
    for number in range(800):
        history = history.after(10, number)
    assert history.expected() == 12


def test_the_past_fades_in_every_store(store: Store) -> None:
    teach(store, [1000] * 30)
    assert covered(store) == 1024
    teach(store, [10] * 500, now=1)
    assert covered(store, now=1) == 12


def test_holds_by_history(store: Store) -> None:
    teach(store, [40] * 20)
    holds = (observed(), Hold(TOKENS, 10_000, 0, 1000))
    answer = store.run(Reserve("r", holds, want=5000, least=5000, now=7))
    assert answer == Granted(5000, (State(0, 53), State(0, 5000)), 7, 48), "the other holds all of it"
    assert store.run(Reserve("r", holds, want=1, least=0, now=8)) == Granted(
        5000, (State(0, 53), State(0, 5000)), 8, 48
    )
    store.run(Settle("r", (Charge(USD, 45),), now=9))
    assert store.run(Peek((USD, TOKENS))) == (State(45, 0), State(0, 0))
    assert store.run(Reserve("r", holds, want=1, now=10)) == Granted(5000, (State(45, 0), State(0, 0)), 10, 48)


def test_expects_no_more_than_is_wanted(store: Store) -> None:
    teach(store, [40] * 20)
    assert store.run(Reserve("r", (observed(),), want=30, least=30, now=0)) == Granted(30, (State(0, 35),), 0, 30)


def test_each_hold_by_its_own_history(store: Store) -> None:
    teach(store, [40] * 20, H)
    teach(store, [400] * 20, G)
    holds = (observed(), Hold(TOKENS, None, 0, 1000, G), Hold(TOKENS, None, 0, 1, "unheard of"))
    answer = store.run(Reserve("r", holds, want=5000, least=0, now=0))
    assert answer == Granted(5000, (State(0, 53), State(0, 517), State(0, 517)), 0, 48)
    assert store.run(Extend("r", holds, 400, now=0)) == Granted(
        5000, (State(0, 405), State(0, 517), State(0, 517)), 0, 400
    )
    assert store.run(Extend("r", holds, 600, now=0)) == Granted(
        5000, (State(0, 605), State(0, 601), State(0, 601)), 0, 600
    )


def test_no_room_for_what_is_expected(store: Store) -> None:
    teach(store, [40] * 20)
    assert store.run(Reserve("r", (observed(52),), want=5000, least=5000, now=0)) == Short((State(0, 0),), (0,), 47, 0)
    assert store.run(Reserve("r", (observed(52),), want=5000, least=1, now=0)) == Granted(47, (State(0, 52),), 0, 47)


def test_taught_once_and_only_by_what_is_known(store: Store) -> None:
    teach(store, [10] * 19)
    assert store.run(Settle(f"{()} 0 18", output=10, histories=(H,), now=1)).outcome == "already"
    store.run(Settle("unknown", histories=(H,), now=1))
    store.run(Settle("for nobody", output=10, now=1))
    assert covered(store, now=2) is None
    store.run(Settle("known", output=10, histories=(H,), now=2))
    assert covered(store, now=3) == 12


def test_forgotten_long_after_it_was_last_taught(store: Store) -> None:
    teach(store, [10] * 20)
    teach(store, [10], now=5)
    for now in (40 * DAY - 1, 40 * DAY, 40 * DAY + 4):
        for number in range(15):
            store.run(Settle(f"tidy {now} {number}", now=now))
        assert covered(store, now=now) == 12
    for number in range(60):
        store.run(Settle(f"tidy {number}", now=40 * DAY + 5))
    assert covered(store, now=40 * DAY + 5) is None
    teach(store, [10] * 20, now=41 * DAY)
    assert covered(store, now=41 * DAY) == 12


def reserved(store: Store, limit: int = 1000, want: int = 500) -> tuple[Hold, ...]:
    teach(store, [40] * 20)
    holds = (observed(limit), Hold(TOKENS, None, 1))
    store.run(Reserve("r", holds, want=want, least=want, lease_ms=LEASE, now=0))
    return holds


def test_extends(store: Store) -> None:
    holds = reserved(store)
    grown = Granted(500, (State(0, 105), State(0, 1)), 1, 100)
    assert store.run(Extend("r", holds, 100, now=1)) == grown
    assert store.run(Extend("r", holds, 100, now=1)) == grown, "asked twice"
    assert store.run(Extend("r", holds, 60, now=1)) == grown, "covered already"
    assert store.run(Reserve("r", holds, want=500, now=1)) == grown, "a reservation that comes again"
    assert store.run(OpenHolds()) == (("r", LEASE),), "not its lease"
    store.run(Settle("r", (Charge(USD, 99),), now=2))
    assert store.run(Peek((USD, TOKENS))) == (State(99, 0), State(0, 0))


def test_extends_no_further_than_was_granted(store: Store) -> None:
    holds = reserved(store)
    assert store.run(Extend("r", holds, 501, now=1)) == Granted(500, (State(0, 505), State(0, 1)), 1, 500)


def test_extends_as_far_as_there_is_room(store: Store) -> None:
    holds = reserved(store, limit=100)
    store.run(Reserve("other", (Hold(USD, None, 20),), now=0))
    assert store.run(Extend("r", holds, 400, now=1)) == Granted(500, (State(0, 100), State(0, 1)), 1, 75)
    refused = Short((State(0, 100), State(0, 1)), (0,), 75, 1)
    assert store.run(Extend("r", holds, 400, now=1)) == refused
    store.run(Settle("other", (Charge(USD, 50),), now=1))
    assert store.run(Extend("r", holds, 76, now=1)) == Short((State(50, 80), State(0, 1)), (0,), 75, 1)
    assert store.run(Extend("r", holds, 75, now=1)) == Granted(500, (State(50, 80), State(0, 1)), 1, 75)


def test_a_counter_that_need_not_hold_more_is_not_in_the_way(store: Store) -> None:
    holds = reserved(store)
    edited = (holds[0], Hold(TOKENS, 0, 1))
    assert store.run(Extend("r", edited, 100, now=1)) == Granted(500, (State(0, 105), State(0, 1)), 1, 100)


def test_extends_into_what_expired_holds_leave(store: Store) -> None:
    """As a reservation: 2 in passing, and 50 more."""
    for number in range(52):
        store.run(Reserve(f"r{number}", (Hold(USD, None, 1),), lease_ms=1, now=0))
    holds = reserved(store, limit=105)
    assert store.run(Extend("r", holds, 100, now=1)) == Granted(500, (State(0, 105), State(0, 1)), 1, 100)


def test_nothing_to_extend(store: Store) -> None:
    holds = reserved(store)
    assert store.run(Extend("nobody", holds, 100, now=1)) == Ended(1)
    assert store.run(Extend("r", holds, 100, now=LEASE)) == Ended(LEASE)
    assert store.run(Settle("r", now=LEASE)).outcome == "late"
    assert store.run(Extend("r", holds, 100, now=1)) == Ended(1)
    assert store.run(Peek((USD, TOKENS))) == (State(0, 0), State(0, 0))


def test_a_hold_whose_lease_is_over_before_anybody_looked(store: Store) -> None:
    """More have expired than a verb ends in passing."""
    for number in range(5):
        store.run(Reserve(f"a{number}", (Hold(USD, None, 1),), lease_ms=1, now=0))
    holds = reserved(store)
    assert store.run(Extend("r", holds, 100, now=LEASE)) == Ended(LEASE)


def test_a_lost_reply_extends_once(opened: Callable[..., Store], server: Server) -> None:
    proxy = Proxy(server.socket)
    try:
        store = opened(proxy.url)
        teach(store, [40] * 20, now=None)
        assert isinstance(store.run(Reserve("r", (observed(),), want=500, least=500)), Granted)
        proxy.armed = True
        extended = store.run(Extend("r", (observed(),), 100))
        assert isinstance(extended, Granted)
        assert (extended.covered, extended.states) == (100, (State(0, 105),))
        assert proxy.dropped == 1
    finally:
        proxy.close()


outputs = st.one_of(st.integers(0, 70), st.integers(0, LARGEST))


@given(before=st.lists(outputs, min_size=200, max_size=255), after=st.lists(outputs, min_size=1, max_size=60))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_lua_keeps_the_same_integers(server: Server, before: list[int], after: list[int]) -> None:
    """Halving included."""
    history = History()
    for output in before:
        history = history.after(output, 7)
    store = RedisStore(server.url, prefix=(prefix := fresh()))
    with server.client() as client:
        client.hset(f"{prefix}:{{0}}:counters", "o:h", _record(history))
        for number, output in enumerate(after):
            store.run(Settle(f"t{number}", output=output, histories=("h",), now=number))
            history = history.after(output, number)
        assert client.hget(f"{prefix}:{{0}}:counters", "o:h") == _record(history)
    store.close()


def _record(history: History) -> str:
    return " ".join(map(str, (1, history.at, *(number for pair in history.counts for number in pair))))
