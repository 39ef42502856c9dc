"""The journal keeps so many entries; what older ones charged is summed: spent = base + journal."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable

from ledger.servers import Server
from ledger.stores import UPKEEP, bases, fresh
from weighbridge.core.ledger import Charge, Counter, Counters, Entries, Entry, Hold, Moved, Peek, Reserve, Settle, State
from weighbridge.ledger import Store
from weighbridge.ledger.upkeep import Upkeep

CAP = UPKEEP.journal_cap
HOUR = 3_600_000
USD = Counter("month", "nano_usd", "lifetime", (("team", "a & b|c"),))
PAST = Counter("minute", "tokens", "minute", (), 0, 60_000)
DAY = Counter("day", "tokens", "day", (), 0, 24 * HOUR)


def settle(store: Store, number: int, *charges: tuple[Counter, int], now: int = 0) -> None:
    store.run(Settle(f"s{number}", tuple(Charge(*charge) for charge in charges), Entry(f"s{number}"), now=now))


def journal(store: Store) -> Tally[str]:
    total: Tally[str] = Tally()
    for entry in store.run(Entries()):
        for name, amount in entry.charges:
            total[name] += amount
    return total


def test_capped_exactly_and_true_for_ever(store: Store) -> None:
    for number in range(3 * CAP):
        settle(store, number, (USD, number), (DAY, 1), (USD, 2))
        assert len(store.run(Entries())) == min(number + 1, CAP)
        total = Tally(bases(store)) + journal(store)
        assert total == {c.field: state.spent for c, state in store.run(Counters()) if state.spent}
    assert [entry.id for entry in store.run(Entries(most=2))] == [f"s{2 * CAP}", f"s{2 * CAP + 1}"]
    assert bases(store) == {USD.field: sum(range(2 * CAP)) + 4 * CAP, DAY.field: 2 * CAP}


def test_settlements_without_an_entry_fold_nothing(store: Store) -> None:
    for number in range(CAP):
        settle(store, number, (USD, 1))
    store.run(Settle("r", now=1))
    assert len(store.run(Entries())) == CAP
    assert bases(store) == {}


def tidied(store: Store) -> None:
    """All is forgotten that was due before `DAY` is."""
    for _ in range(CAP):
        assert isinstance(store.run(Reserve("t", (Hold(USD, None, 0), Hold(PAST, 1, 1)), now=48 * HOUR - 1)), Moved)


def test_a_base_goes_with_its_counter(store: Store) -> None:
    for number in range(CAP + 1):
        settle(store, number, (DAY, 1), (USD, 1))
    assert bases(store) == {DAY.field: 1, USD.field: 1}
    tidied(store)
    settle(store, CAP + 1, (USD, 0), now=48 * HOUR)
    assert [counter for counter, _ in store.run(Counters())] == [USD]
    assert bases(store) == {USD.field: 2}, "nor does it come back with what is folded later"


def test_a_counter_that_comes_back_as_it_goes(store: Store) -> None:
    for number in range(CAP + 1):
        settle(store, number, (DAY, 5))
    tidied(store)
    settle(store, CAP + 1, (DAY, 1), now=48 * HOUR)
    assert store.run(Peek((DAY,))) == (State(1, 0),)
    assert bases(store) == {DAY.field: 5}, "of the entry folded now; what was folded before is forgotten"


def test_a_lower_cap_is_reached_by_and_by(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    wide = opened(server.url, prefix=prefix, upkeep=Upkeep(journal_cap=100))
    for number in range(10):
        settle(wide, number, (USD, 1))
    narrow = opened(server.url, prefix=prefix, upkeep=Upkeep(journal_cap=5, fold=3))
    kept = []
    for number in range(10, 15):
        settle(narrow, number, (USD, 1))
        kept.append(len(narrow.run(Entries())))
    assert kept == [8, 6, 5, 5, 5]
    assert bases(narrow) == {USD.field: 10}


UNREADABLE = [
    "?",
    "[]",
    "7",
    "{}",
    '{"charges":7}',
    '{"charges":[7]}',
    '{"charges":[["x"]]}',
    '{"charges":[[7,7]]}',
    '{"charges":[["x",1.5]]}',
    '{"charges":[["x",-1]]}',
    '{"charges":[["x",1e300]]}',
]


def test_what_nobody_can_read_stays_and_stops_no_settlement(opened: Callable[..., Store], server: Server) -> None:
    for line in UNREADABLE:
        prefix = fresh()
        store = opened(server.url, prefix=prefix, upkeep=Upkeep(journal_cap=2))
        settle(store, 0, (USD, 1))
        with server.client() as client:
            place = client.xadd(f"{prefix}:{{0}}:journal", {"e": line})
            for number in range(1, 6):
                store.run(Settle(f"s{number}", (Charge(USD, 1),), Entry(f"s{number}")))
            assert client.xlen(f"{prefix}:{{0}}:journal") == 6, line
            assert client.xrange(f"{prefix}:{{0}}:journal", count=1)[0][0] == place
            assert bases(store) == {USD.field: 1}
            client.xdel(f"{prefix}:{{0}}:journal", place)
            store.run(Settle("s6", (Charge(USD, 1),), Entry("s6")))
            assert client.xlen(f"{prefix}:{{0}}:journal") == 2
        assert bases(store) == {USD.field: 5}
        assert store.run(Peek((USD,))) == (State(7, 0),)
