"""What only a wrong ledger would get wrong: each test here kills mutants (tests/mutation) that no other does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger.servers import Server
from ledger.stores import UPKEEP, fresh
from weighbridge.core.ledger import (
    LARGEST,
    Charge,
    Counter,
    Ended,
    Entries,
    Entry,
    Extend,
    Granted,
    Hold,
    Moved,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    State,
)
from weighbridge.ledger import Store
from weighbridge.ledger.roots import Void
from weighbridge.ledger.upkeep import Upkeep, purge_at

MINUTE, HOUR = 60_000, 3_600_000
A = Counter("a", "tokens", "lifetime", (("team", "t"),))
B = Counter("b", "tokens", "lifetime", (("team", "t"),))
DAY = Counter("day", "tokens", "day", (("team", "t"),), 0, 24 * HOUR)
SEEN = 20
"""Settlements that make a history."""


def peek(store: Store, *counters: Counter) -> list[tuple[int, int]]:
    return [(state.spent, state.held) for state in store.run(Peek(counters))]


def many(count: int) -> list[Counter]:
    return [Counter(f"p{number}", "tokens", "lifetime", (("team", "t"),)) for number in range(count)]


def test_as_many_counters_as_a_call_may_name(store: Store) -> None:
    counters = many(500)
    holds = tuple(Hold(counter, 10**6, number) for number, counter in enumerate(counters))
    assert isinstance(store.run(Reserve("r", holds, now=0)), Granted)
    assert peek(store, *counters) == [(0, number) for number in range(500)]
    store.run(Settle("r", tuple(Charge(counter, 2) for counter in counters), now=1))
    assert peek(store, *counters) == [(2, 0)] * 500


def test_folds_entries_with_more_charges_than_a_call_may_name(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    before = opened(server.url, prefix=prefix, upkeep=Upkeep(journal_cap=4))
    for number in range(4):
        counters = many(500) if number % 2 else [Counter(f"q{n}", "tokens", "lifetime", ()) for n in range(500)]
        before.run(Settle(f"s{number}", tuple(Charge(counter, 1) for counter in counters), Entry(f"s{number}"), now=0))
    after = opened(server.url, prefix=prefix, upkeep=Upkeep(journal_cap=1))
    after.run(Settle("last", (Charge(A, 1),), Entry("last"), now=1))
    with server.client() as client:
        found = client.hgetall(f"{prefix}:{{0}}:counters")
    assert sum(value == "2" for name, value in found.items() if name[:2] == "b:") == 1000


@pytest.mark.parametrize("count", [1100, 8100])
def test_a_great_many_leases_over_at_once(opened: Callable[..., Store], server: Server, count: int) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix, upkeep=Upkeep())
    names = [f"r{number}" for number in range(count)]
    with server.client() as client:
        client.hset(f"{prefix}:{{0}}:counters", mapping={f"s:{A.field}": 0, f"h:{A.field}": count})
        client.hset(f"{prefix}:{{0}}:holds", mapping=dict.fromkeys(names, f"1 open 0 0 {A.field} 1"))
        client.zadd(f"{prefix}:{{0}}:leases", dict.fromkeys(names, 5))
    assert isinstance(store.run(Reserve("all", (Hold(A, count, count),), now=5)), Granted)
    assert peek(store, A) == [(0, count)]
    assert store.run(OpenHolds()) == (("all", 120_005),)


def expired(store: Store, count: int = 6) -> None:
    """Holds of 1 whose leases end at 1, 2, 3, ..."""
    for number in range(count):
        assert isinstance(store.run(Reserve(f"gone{number}", (Hold(A, 100, 1),), lease_ms=number + 1, now=0)), Granted)


def test_ends_no_more_than_it_has_to(store: Store) -> None:
    expired(store)
    store.run(Reserve("r", (Hold(A, 100, 0, 1000),), want=3, least=3, now=MINUTE))
    assert len(store.run(OpenHolds())) == 6 - UPKEEP.sweep + 1


def test_a_short_lease_ends_all_that_are_in_the_way(store: Store) -> None:
    expired(store)
    assert isinstance(store.run(Reserve("r", (Hold(A, 6, 6),), lease_ms=1, now=MINUTE)), Granted)


@pytest.mark.parametrize("now", [6, 7])
def test_late_though_nobody_has_swept_it_yet(store: Store, now: int) -> None:
    expired(store)
    assert store.run(Settle("gone5", (Charge(A, 1),), now=now)).outcome == "late"
    assert peek(store, A) == [(1, 6 - UPKEEP.sweep - 1)]


def test_a_window_of_a_millisecond(store: Store) -> None:
    instant = Counter("instant", "tokens", "instant", (("team", "t"),), 0, 1)
    assert store.run(Reserve("r", (Hold(instant, 5, 1),), now=1)) == Moved(1)
    assert isinstance(store.run(Reserve("r", (Hold(instant, 5, 1),), now=0)), Granted)


def test_a_thousandth_more_is_one_more(store: Store) -> None:
    assert store.run(Reserve("r", (Hold(A, 9, 0, 1),), want=1001, least=1001, now=0)) == Granted(
        1001, (State(0, 2),), 0, 1001
    )


def test_an_id_whose_tombstone_is_forgotten_in_the_same_step(store: Store) -> None:
    store.run(Settle("r", now=0))
    later = UPKEEP.retention_ms
    assert store.run(Reserve("r", (Hold(A, 9, 4),), now=later)) == Granted(0, (State(0, 4),), later, 0)


def test_a_counter_with_one_left_on_it_stays(store: Store) -> None:
    store.run(Reserve("r", (Hold(DAY, None, 1),), lease_ms=60 * HOUR, now=0))
    store.run(Settle("tidy", now=48 * HOUR + 1))
    assert peek(store, DAY) == [(0, 1)]


def test_an_entry_with_the_largest_charge_is_folded(store: Store) -> None:
    store.run(Settle("s", (Charge(A, LARGEST),), Entry("s"), now=0))
    for number in range(UPKEEP.journal_cap):
        store.run(Settle(f"s{number}", (Charge(B, 1),), Entry(f"s{number}"), now=1))
    assert len(store.run(Entries())) == UPKEEP.journal_cap


def taught(store: Store) -> None:
    """What "h" returns: 8 tokens."""
    for number in range(SEEN):
        store.run(Settle(f"seen{number}", now=0, output=8, histories=("h",)))


def test_two_of_thirty_eight_are_more_than_five_percent(store: Store) -> None:
    for number in range(38):
        store.run(Settle(f"s{number}", now=0, output=100 if number < 2 else 8, histories=("h",)))
    answer = store.run(Reserve("r", (Hold(A, None, 0, 1000, "h"),), want=500, now=0))
    assert answer == Granted(500, (State(0, 128),), 0, 128)


def test_a_history_is_halved_when_it_is_full(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store, records = opened(server.url, prefix=prefix), []
    with server.client() as client:
        for number in range(256):
            store.run(Settle(f"s{number}", now=7, output=8, histories=("h",)))
            records.append(client.hget(f"{prefix}:{{0}}:counters", "o:h"))
    assert records[:2] + records[-2:] == ["1 7 5 1", "1 7 5 2", "1 7 5 255", "1 7 5 128"]


def test_a_history_is_due_forty_days_after_and_begins_anew(opened: Callable[..., Store], server: Server) -> None:
    prefix, kept = fresh(), 40 * 24 * HOUR
    store = opened(server.url, prefix=prefix)
    with server.client() as client:
        store.run(Settle("s", now=7, output=8, histories=("h",)))
        store.run(Settle("t", now=8, output=8, histories=("h",)))
        due = client.zrange(f"{prefix}:{{0}}:due", 0, -1, withscores=True)
        assert dict(due)["oh"] == 7 + kept
        client.hset(f"{prefix}:{{0}}:counters", "o:h", "1 7 5 2")
        store.run(Settle("u", now=7 + kept, output=8, histories=("h",)))
        assert client.hget(f"{prefix}:{{0}}:counters", "o:h") == f"1 {7 + kept} 5 1"


TIMES = {"life": (0, 0, 0), "minute": (0, MINUTE, 0), "day": (1, 1 + 24 * HOUR, 0), "year": (9, 9 + 9000 * HOUR, 0)}
TIMES |= {"rolling": (0, MINUTE, HOUR)}
"""Start, end and span of windows of every kind."""


@pytest.mark.parametrize("kind", TIMES)
def test_a_base_whose_counter_lives_elsewhere(opened: Callable[..., Store], server: Server, kind: str) -> None:
    """It is forgotten when the counter is."""
    prefix, counter = fresh(), Counter("p", "tokens", "w", (("team", "t"),), *TIMES[kind])
    store = opened(server.url, prefix=prefix, upkeep=Upkeep(journal_cap=1))
    books, due, last = f"{prefix}:{{0}}:counters", f"{prefix}:{{0}}:due", f"c{counter.field}"
    with server.client() as client:
        store.run(Settle("s", (Charge(counter, 5),), Entry("s"), now=1))
        client.hdel(books, f"s:{counter.field}", f"h:{counter.field}")
        client.zrem(due, last)
        store.run(Settle("t", (), Entry("t"), now=2))
        assert client.hget(books, f"b:{counter.field}") == "5"
        assert client.zscore(due, last) == (purge_at(counter) or None)
        store.run(Settle("u", (Charge(counter, 5),), now=3))
        client.hdel(books, f"s:{counter.field}", f"h:{counter.field}", f"b:{counter.field}")
        store.run(Settle("v", (Charge(counter, 5),), Entry("v"), now=4))
        client.hdel(books, f"s:{counter.field}", f"h:{counter.field}")
        client.zrem(due, last)
        store.run(Settle("w", (), Entry("w"), now=purge_at(counter) or 5))
        assert client.hget(books, f"b:{counter.field}") == (None if counter.end else "5")


def test_extends_by_one_token(store: Store) -> None:
    taught(store)
    holds = (Hold(A, 100, 0, 1000, "h"),)
    assert store.run(Reserve("r", holds, want=50, now=0)) == Granted(50, (State(0, 8),), 0, 8)
    assert store.run(Extend("r", holds, 9, now=0)) == Granted(50, (State(0, 9),), 0, 9)
    assert peek(store, A) == [(0, 9)]


def test_extends_onto_a_counter_that_is_new_to_the_call(store: Store) -> None:
    """A policy that came while the call was under way."""
    taught(store)
    holds = (Hold(A, 100, 0, 1000, "h"),)
    store.run(Reserve("other", (Hold(B, 100, 10),), now=0))
    store.run(Reserve("r", holds, want=50, now=0))
    both = (*holds, Hold(B, 100, 3, 1000, "h"))
    assert store.run(Extend("r", both, 20, now=0)) == Granted(50, (State(0, 20), State(0, 33)), 0, 20)
    store.run(Settle("r", now=1))
    assert peek(store, A, B) == [(0, 0), (0, 10)]


def test_an_extension_ends_what_is_in_its_way_and_no_more(store: Store) -> None:
    taught(store)
    holds = (Hold(A, 100, 0, 1000, "h"),)
    store.run(Reserve("r", holds, want=80, lease_ms=HOUR, now=0))
    expired(store)
    assert isinstance(store.run(Extend("r", holds, 9, now=MINUTE)), Granted)
    assert len(store.run(OpenHolds())) == 6 - UPKEEP.sweep + 1
    tight = (Hold(A, 10, 0, 1000, "h"),)
    assert store.run(Extend("r", tight, 10, now=MINUTE)) == Granted(80, (State(0, 10),), MINUTE, 10)


def test_an_extension_by_one_ends_all_that_are_in_its_way(store: Store) -> None:
    """However few units are wanted."""
    taught(store)
    few = (Hold(A, None, 0, 1000, "h"),)
    store.run(Reserve("r", few, want=80, lease_ms=HOUR, now=0))
    store.run(Reserve("big", (Hold(A, None, 50),), lease_ms=90, now=0))
    for number in range(20):
        store.run(Reserve(f"gone{number}", (Hold(A, None, 1),), lease_ms=number + 1, now=0))
    assert isinstance(store.run(Extend("r", (Hold(A, 9, 0, 1000, "h"),), 9, now=MINUTE)), Granted)


def test_no_extension_without_a_record_or_lease(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix, upkeep=UPKEEP)
    holds = (Hold(A, 100, 1),)
    for name in ("no lease", "ended"):
        store.run(Reserve(name, holds))
    store.run(Settle("ended"))
    with server.client() as client:
        client.zrem(f"{prefix}:{{0}}:leases", "no lease")
        client.zadd(f"{prefix}:{{0}}:leases", {"ended": 10**14, "no record": 10**14})
    for name in ("no lease", "ended", "no record"):
        assert store.run(Renew(name)) is False
        assert isinstance(store.run(Extend(name, holds, 5)), Ended)


def test_void_leaves_nothing_behind(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    store.run(Reserve("other", (Hold(A, 100, 10), Hold(B, 100, 20))))
    with server.client() as client:
        keys = [f"{prefix}:{{0}}:{name}" for name in ("holds", "leases")]
        before = client.hkeys(keys[0]), client.zrange(keys[1], 0, -1)
        store.run(Reserve("r", (Hold(A, 100, 3), Hold(B, 100, 4))))
        assert store.run(Void("r")) is True
        assert (client.hkeys(keys[0]), client.zrange(keys[1], 0, -1)) == before
    assert peek(store, A, B) == [(0, 10), (0, 20)]
    assert store.run(Void("r")) is False
    store.run(Settle("ended", (Charge(A, 1),)))
    assert store.run(Void("ended")) is False
    assert store.run(Settle("ended", (Charge(A, 1),))).outcome == "already"
    assert isinstance(store.run(Reserve("r", (Hold(A, 100, 5),))), Granted)
    assert peek(store, A) == [(1, 15)]


def test_teaches_the_histories_named_and_no_other(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    store.run(Settle("s", (Charge(A, 1), Charge(B, 1)), Entry("s"), output=5, histories=("h",)))
    with server.client() as client:
        names = client.hkeys(f"{prefix}:{{0}}:counters")
        ((_, entry),) = client.xrange(f"{prefix}:{{0}}:journal")
    assert [name for name in names if name[:2] == "o:"] == ["o:h"]
    assert list(entry) == ["e"]


def test_goes_by_the_servers_clock(opened: Callable[..., Store], server: Server) -> None:
    store = opened(server.url)
    with server.client() as client:
        for number in range(20):
            before = client.time()
            now = store.run(Settle(f"s{number}")).now
            after = client.time()
            first, last = (seconds * 1000 + micros // 1000 for seconds, micros in (before, after))
            assert first - 1 <= now <= last + 1
