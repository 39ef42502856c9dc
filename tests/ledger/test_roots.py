"""Verbs over several roots: which parts go where, and what is left when one of them fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.stores import UPKEEP, fresh
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import (
    Charge,
    Counter,
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
    Short,
    State,
)
from weighbridge.ledger.driving import drive
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.redis import RedisStore
from weighbridge.ledger.roots import GENERAL, Parts, Roots, Share, Void, root_of

TEAM = Counter("team", "nano_usd", "lifetime", (("team", "research"),))
ORG = Counter("org", "nano_usd", "lifetime", (("org", "acme"), ("team", "research")))
ALL = Counter("all", "nano_usd", "lifetime", ())
HOLDS = (Hold(ALL, 100, 10), Hold(TEAM, 100, 10), Hold(ORG, 100, 10))
CHARGES = (Charge(ALL, 1), Charge(TEAM, 2), Charge(ORG, 3))


class Fleet:
    """A memory ledger for each root, and a root that fails on command."""

    def __init__(self) -> None:
        self.roots = Roots()
        self.stores: dict[str, MemoryStore] = {}
        self.asked: list[tuple[str, str]] = []
        self.fails: Callable[[Any, str], bool] = lambda verb, root: False

    def run(self, verb: Any) -> Any:
        return drive(self.roots.spread(verb), self._all, (StoreUnavailable,))

    def _all(self, parts: Parts) -> list[Any]:
        return [self._one(verb, root) for verb, root in parts]

    def _one(self, verb: Any, root: str) -> Any:
        self.asked.append((type(verb).__name__, root))
        if self.fails(verb, root):
            raise StoreUnavailable("not now")
        store = self.stores.setdefault(root, MemoryStore(lambda: 0, UPKEEP))
        if isinstance(verb, Void):
            store.run(Settle(verb.id, now=verb.now))
            store.books.holds.pop(verb.id, None)
            return True
        if isinstance(verb, Share):
            verb = Settle(verb.id, verb.charges, verb.entry, verb.now, verb.output, verb.histories)
        return store.run(verb)


def test_a_root_is_the_organisation_or_else_the_team() -> None:
    assert root_of(ALL) == GENERAL == "0"
    assert root_of(ORG) == root_of(Counter("x", "calls", "", (("org", "acme"),)))
    assert root_of(TEAM) == root_of(Counter("x", "calls", "day", (("user", "u"), ("team", "research"))))
    assert len({root_of(TEAM), root_of(ORG), root_of(ALL)}) == 3, "or these tests test nothing"


def test_reserves_the_general_root_last_and_voids_the_earlier() -> None:
    fleet = Fleet()
    fleet.run(Settle("past", (Charge(ALL, 95),)))
    fleet.asked.clear()
    answer = fleet.run(Reserve("r", HOLDS))
    assert answer == Short((State(95, 0), State(0, 0), State(0, 0)), (0,), -1, 0)
    asked = [root for name, root in fleet.asked if name == "Reserve"]
    assert asked == [*sorted(asked[:2], key=int), GENERAL]
    assert fleet.run(OpenHolds()) == ()
    wider = (Hold(ALL, 200, 10), *HOLDS[1:])
    assert isinstance(fleet.run(Reserve("r", wider)), Granted), "the same id may be asked again"
    assert fleet.run(Peek((ALL, TEAM, ORG))) == (State(95, 10), State(0, 10), State(0, 10))


def test_a_window_that_moved_voids_too() -> None:
    fleet = Fleet()
    past = Counter("day", "nano_usd", "day", (), 0, 1000)
    assert fleet.run(Reserve("r", (Hold(TEAM, 100, 10), Hold(past, 9, 1)), now=1000)) == Moved(1000)
    assert fleet.run(OpenHolds()) == ()


def test_a_root_that_fails_leaves_no_hold_behind() -> None:
    fleet = Fleet()
    fleet.fails = lambda verb, root: isinstance(verb, Reserve) and root == GENERAL
    with pytest.raises(StoreUnavailable):
        fleet.run(Reserve("r", HOLDS))
    assert fleet.run(OpenHolds()) == ()


def test_a_clamp_in_one_root_holds_for_the_next() -> None:
    fleet = Fleet()
    holds = (Hold(TEAM, 50, 0, 1000), Hold(ALL, 40, 0, 1000))
    answer = fleet.run(Reserve("r", holds, want=100, least=1))
    assert answer == Granted(40, (State(0, 50), State(0, 40)), 0, 40)


def test_a_settlement_cut_short_is_in_the_journal_whole() -> None:
    fleet = Fleet()
    fleet.run(Reserve("r", HOLDS))
    journal: list[Share] = []

    def fails(verb: Any, root: str) -> bool:
        journal.extend([verb] if isinstance(verb, Share) and verb.entry else [])
        return isinstance(verb, Share) and not verb.entry

    fleet.fails = fails
    with pytest.raises(StoreUnavailable):
        fleet.run(Settle("r", CHARGES, Entry("r")))
    assert [share.whole for share in journal] == [CHARGES]
    assert len(fleet.run(Entries())) == 1
    fleet.fails = lambda verb, root: False
    assert fleet.run(Settle("r", CHARGES, Entry("r"))).outcome == "settled"
    assert fleet.run(Peek((ALL, TEAM, ORG))) == (State(1, 0), State(2, 0), State(3, 0))
    assert len(fleet.run(Entries())) == 1


def test_a_release_by_another_process_finds_every_hold() -> None:
    fleet = Fleet()
    fleet.run(Reserve("r", HOLDS))
    fleet.roots = Roots()
    assert fleet.run(Renew("r")) is True
    assert fleet.run(Settle("r")).outcome == "settled"
    assert fleet.run(Peek((ALL, TEAM, ORG))) == (State(0, 0),) * 3


def test_a_renewal_is_whole_or_it_is_none() -> None:
    fleet = Fleet()
    fleet.run(Reserve("r", HOLDS))
    assert fleet.run(Renew("r")) is True
    fleet.stores[root_of(TEAM)].run(Settle("r"))
    assert fleet.run(Renew("r")) is False


@pytest.mark.parametrize("most", [1, 3, 7, 1000])
def test_the_journals_read_as_one(most: int) -> None:
    fleet = Fleet()
    counters = [Counter("c", "calls", "", (("team", f"t{n % 5}"),)) for n in range(8)]
    for number in range(8):
        fleet.run(Settle(f"s{number}", (Charge(counters[number], 1),), Entry(f"s{number}"), now=1000 + number // 3))
    expected = fleet.run(Entries())
    assert sorted(entry.id for entry in expected) == [f"s{n}" for n in range(8)]
    assert [entry.at for entry in expected] == sorted(entry.at for entry in expected)
    read: list[Entry] = []
    while page := fleet.run(Entries(after=read[-1].cursor if read else "", most=most)):
        read.extend(page)
    assert read == list(expected)
    assert [entry.at for entry in fleet.run(Entries(since=1001))] == [1001] * 3 + [1002] * 2


def test_a_real_cluster_keeps_teams_apart(cluster_url: str) -> None:
    store = RedisStore(cluster_url, prefix=fresh(), deadline=30)
    assert isinstance(store.run(Reserve("r", HOLDS)), Granted)
    settled = store.run(Settle("r", CHARGES, Entry("r")))
    assert (settled.outcome, settled.states) == ("settled", (State(1, 0), State(2, 0), State(3, 0)))
    [entry] = store.run(Entries())
    assert entry.charges == tuple((charge.counter.field, charge.amount) for charge in CHARGES)
    assert entry.cursor.endswith(f"@{min((root_of(TEAM), root_of(ORG)), key=int)}")
    store.close()
