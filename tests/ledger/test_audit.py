"""The audit on every store: it finds what was tampered with, mends it, and is then content."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, TypeVar

import pytest

from ledger.servers import Server
from ledger.stores import UPKEEP, fresh, home
from weighbridge.core.audit import Audit, auditing
from weighbridge.core.books import Mend, Page, Roots, Step
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.flow import Flow
from weighbridge.core.ledger import Charge, Counter, Entry, Hold, Peek, Reserve, Settle, State, Verb
from weighbridge.ledger import Store
from weighbridge.ledger.upkeep import Upkeep

T = TypeVar("T")
USD = Counter("month", "nano_usd", "lifetime", (("team", "research"),))
CALLS = Counter("at once", "calls", "", ())
DAY = Counter("day", "requests", "day", (), 0, 86_400_000)


def driven(store: Store, flow: Flow[T]) -> T:
    """Runs a flow of ledger verbs."""
    try:
        verb = next(flow)
        while True:
            try:
                answer = store.run(verb)  # type: ignore[type-var, arg-type]
            except StoreCorrupt as error:
                verb = flow.throw(error)
            else:
                verb = flow.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def audited(store: Store, *, repair: bool = False) -> Audit:
    return driven(store, auditing(repair=repair))


def spend(store: Store, id: str, amount: int = 70, *counters: Counter, open: bool = False) -> None:
    """One call held at 100 on each counter, and settled where it is not left open."""
    found = counters or (USD, CALLS)
    store.run(Reserve(id, tuple(Hold(c, None, 100) for c in found)))
    if not open:
        charges = tuple(Charge(c, amount if c.unit != "calls" else 0) for c in found)
        store.run(Settle(id, charges, Entry(id, team="research")))


def test_books_that_agree(store: Store) -> None:
    assert audited(store) == Audit(0, 0, 0)
    for n in range(5):
        spend(store, f"settled-{n}")
    spend(store, "open", open=True)
    store.run(Reserve("given back", (Hold(USD, None, 5),)))
    store.run(Settle("given back"))
    found = audited(store)
    assert found.ok
    records = len({home(store, USD), home(store, CALLS)})
    assert (found.counters, found.holds, found.entries, found.expired) == (2, records, 5, 0)


@pytest.mark.parametrize("number", ["spent", "held"])
@pytest.mark.parametrize("change", [-30, 7])
def test_a_number_that_was_changed(store: Store, number: Any, change: int) -> None:
    spend(store, "settled")
    spend(store, "open", open=True)
    assert store.run(Mend((Step("add", USD.field, number, amount=change),), home(store, USD))) == (True,)
    found = audited(store)
    expected = 70 if number == "spent" else 100
    [drift] = found.drift
    assert (drift.counter, drift.number, drift.expected, drift.found) == (
        USD.field,
        number,
        expected,
        expected + change,
    )
    assert not found.ok and audited(store) == found
    mended = audited(store, repair=True)
    assert (mended.drift, mended.mended, mended.failed) == (found.drift, 1, 0)
    assert audited(store).ok
    assert store.run(Peek((USD,))) == (State(70, 100),)


def test_a_settlement_without_its_entry(store: Store) -> None:
    store.run(Settle("unwritten", (Charge(USD, 9),)))
    [drift] = audited(store).drift
    assert (drift.expected, drift.found) == (0, 9)


def test_entries_that_fell_off_are_remembered(store: Store) -> None:
    others = tuple(Counter("p", "tokens", "lifetime", (("team", name),)) for name in "abc")
    for n in range(3 * UPKEEP.journal_cap):
        spend(store, f"n{n}", n, USD, *others)
    assert audited(store).ok


def test_counters_past_their_time_may_be_forgotten(opened: Callable[..., Store], server: Server) -> None:
    store = opened(server.url)
    store.run(Reserve("old", (Hold(DAY, None, 1),), now=5))
    store.run(Settle("old", (Charge(DAY, 1),), Entry("old"), now=5))
    # The server's clock is years on: this sweeps the counter away.
    store.run(Reserve("new", (Hold(USD, None, 1),)))
    assert audited(store).ok
    # A late charge makes it anew, and the journal holds both.
    store.run(Settle("late", (Charge(DAY, 1),), Entry("late")))
    assert audited(store).ok


def test_pages_tell_everything(store: Store) -> None:
    for n in range(40):
        spend(store, f"n{n}", 1, Counter("p", "tokens", "lifetime", (("user", str(n)),)))
    for book, names in (("journal", UPKEEP.journal_cap), ("counters", 40), ("holds", 40)):
        seen, cursor = list[str](), ""
        while True:
            leaf = store.run(Page(book, cursor, 7))  # type: ignore[arg-type]
            seen += [row.name for row in leaf.rows if book != "counters" or row.kind == "spent"]
            assert all(row.amounts is not None for row in leaf.rows)
            cursor = leaf.cursor
            if not cursor:
                break
        assert len(set(seen)) == names


@pytest.mark.parametrize("entries", [20, 100_000])
def test_traffic_is_not_drift(opened: Callable[..., Store], server: Server, entries: int) -> None:
    """Also where the journal's oldest entries fall off as it is read."""
    prefix, upkeep = fresh(), Upkeep(journal_cap=entries)
    store, other = (opened(server.url, prefix=prefix, upkeep=upkeep) for _ in range(2))
    done, rounds = Event(), [0]

    def traffic() -> None:
        while not done.is_set():
            rounds[0] += 1
            spend(other, f"live-{rounds[0]}", 100)

    spend(store, "first")
    worker = Thread(target=traffic)
    worker.start()
    try:
        while rounds[0] < 2000:
            assert audited(store).ok
        store.run(Mend((Step("add", USD.field, "spent", amount=13), Step("add", CALLS.field, "held", amount=2))))
        drift = {found.counter: found for found in audited(store, repair=True).drift}
        assert drift.keys() == {USD.field, CALLS.field}
        assert drift[USD.field].found - drift[USD.field].expected == 13  # type: ignore[operator]
        assert audited(store).ok
    finally:
        done.set()
        worker.join()
    assert audited(store).ok
    assert store.run(Peek((USD, CALLS))) == (State(70 + 100 * rounds[0], 0), State(0, 0))


class TwoRoots:
    """A store whose books are in two roots, as a cluster's are in many."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def run(self, verb: Verb[T]) -> T:
        return ("0", "1") if isinstance(verb, Roots) else self.store.run(verb)  # type: ignore[return-value]

    def close(self) -> None:
        self.store.close()


def test_books_in_two_roots(opened: Callable[..., Store], server: Server) -> None:
    """A journal charges counters that live in another root, and keeps the base of what it let go."""
    prefix = fresh()
    store = TwoRoots(opened(server.url, prefix=prefix))
    spend(store, "settled")
    other = Counter("month", "nano_usd", "lifetime", (("team", "elsewhere"),))
    line = json.dumps({"id": "x", "charges": [[other.field, 5]]})
    with server.client() as client:
        client.xadd(f"{prefix}:{{0}}:journal", {"e": line})
        client.hset(f"{prefix}:{{0}}:counters", f"b:{other.field}", 10)
        client.hset(f"{prefix}:{{1}}:counters", mapping={f"s:{other.field}": 15, f"h:{other.field}": 2})
        client.hset(f"{prefix}:{{1}}:holds", "open", f"1 open 0 0 {other.field} 2")
        client.zadd(f"{prefix}:{{1}}:leases", {"open": 2**44, "ghost": 2**44})
        found = audited(store)
        assert [(finding.name, finding.root) for finding in found.findings] == [("ghost", "1")]
        assert (found.drift, found.counters, found.holds, found.entries) == ((), 3, 1, 2)
        client.hincrby(f"{prefix}:{{1}}:counters", f"s:{other.field}", 30)
        client.hset(f"{prefix}:{{1}}:counters", f"h:{other.field}", "x")
        drift = {found.number: found for found in audited(store, repair=True).drift}
        assert (drift["spent"].expected, drift["spent"].found, drift["spent"].root) == (15, 45, "1")
        assert (drift["held"].expected, drift["held"].found) == (2, "x")
        assert audited(store).ok
        assert client.hgetall(f"{prefix}:{{1}}:counters") == {f"s:{other.field}": "15", f"h:{other.field}": "2"}


def test_many_forgotten_counters_cost_no_journal(opened: Callable[..., Store], server: Server) -> None:
    """The journal remembers windows that are over and gone: they are told apart without reading it again."""
    store = opened(server.url)
    for n in range(700):
        minute = Counter("m", "requests", "minute", (), n * 60_000, (n + 1) * 60_000)
        store.run(Settle(f"s{n}", (Charge(minute, 1),), Entry(f"s{n}"), now=n * 60_000))
    store.run(Reserve("sweeps", (Hold(USD, None, 1),)))
    asked = list[Any]()

    class Watched:
        def run(self, verb: Verb[T]) -> T:
            asked.append(verb)
            return store.run(verb)

        def close(self) -> None:
            raise AssertionError("an audit leaves the store open")

    assert audited(Watched()).ok
    assert len([verb for verb in asked if isinstance(verb, Page) and verb.book == "journal"]) == 1


def test_rolling_windows_are_audited_bucket_by_bucket(store: Store) -> None:
    early = Counter("roll", "tokens", "rolling 1h", (), -60_000, 0, 3_600_000)
    endless = Counter("roll", "tokens", "rolling 1h", (), 2**44, 2**44 + 60_000, 3_600_000)
    for counter in (early, endless):
        store.run(Settle(f"s{counter.start}", (Charge(counter, 3),), Entry(f"s{counter.start}")))
    assert audited(store).ok
    store.run(Mend((Step("add", endless.field, "spent", amount=1),)))
    assert [drift.counter for drift in audited(store).drift] == [endless.field]
