"""Servers that die, change and forget: what a store finds again, and what was lost is held and charged once more."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from redis.crc import key_slot

from ledger.fleets import Cluster, Node, Watch, eventually
from ledger.servers import Server, binaries
from ledger.stores import fresh
from weighbridge.core.ledger import (
    Charge,
    Counter,
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
    State,
)
from weighbridge.ledger import Store
from weighbridge.ledger.redis import RedisStore
from weighbridge.ledger.reseed import Recent
from weighbridge.ledger.roots import root_of

USD = Counter("month", "nano_usd", "lifetime", ())
TEAM = Counter("team", "nano_usd", "lifetime", (("team", "research"),))
PATIENT = 30.0


def settle(store: Store, id: str, amount: int) -> str:
    return store.run(Settle(id, (Charge(USD, amount),), Entry(id))).outcome


def calls(store: Store, first: int, past: int) -> None:
    """Calls begun; the even ones ended, at 3 each."""
    for number in range(first, past):
        assert isinstance(store.run(Reserve(f"r{number}", (Hold(USD, None, 10),))), Granted)
        if not number % 2:
            settle(store, f"r{number}", 3)


@pytest.fixture
def forgetful() -> Iterator[Server]:
    """A server that comes back with its last SAVE and nothing later."""
    if not binaries():
        pytest.skip("no redis-server here")
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        server = Server(next(iter(binaries().values())), Path(folder))
        yield server
        server.stop()


def test_a_restart_that_forgot(opened: Callable[..., Store], forgetful: Server) -> None:
    prefix = fresh()
    store = opened(forgetful.url, deadline=PATIENT, prefix=prefix)
    calls(store, 0, 10)
    with forgetful.client() as client:
        client.save()
    calls(store, 10, 30)
    settle(store, "r1", 3)
    before = store.run(Peek((USD,)))
    entries = {entry.id for entry in store.run(Entries())}
    assert before == (State(16 * 3, 14 * 10),)
    forgetful.restart()
    other = opened(forgetful.url, deadline=PATIENT, prefix=prefix)
    assert other.run(Peek((USD,))) == (State(5 * 3, 5 * 10),), "what another process finds: the rest is lost"
    assert isinstance(store.run(Reserve("new", (Hold(USD, None, 1),))), Granted)
    assert other.run(Peek((USD,))) == (State(16 * 3, 14 * 10 + 1),)
    assert {entry.id for entry in other.run(Entries())} == entries
    assert settle(store, "r11", 3) == "settled", "a restored hold is a hold"
    assert settle(store, "r10", 3) == "already", "a restored settlement is one"


def test_nothing_is_admitted_on_what_was_forgotten(opened: Callable[..., Store], forgetful: Server) -> None:
    """The first to ask after a restart is told of no room that is not there."""
    store = opened(forgetful.url, deadline=PATIENT)
    store.run(Reserve("r", (Hold(USD, 100, 60),)))
    settle(store, "s", 40)
    forgetful.restart()
    assert not isinstance(store.run(Reserve("new", (Hold(USD, 100, 1),))), Granted)


def test_threads_that_meet_a_new_server_at_once(forgetful: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them restores; the others wait for it, also where they come before it has begun."""
    store = RedisStore(forgetful.url, deadline=PATIENT, prefix=fresh())
    store.run(Reserve("r", (Hold(USD, 100, 60),)))
    forgetful.restart()
    begun: list[Thread] = []
    asked: list[Future[Any]] = []

    class Held(Thread):
        """Starts when another caller had time to come by."""

        def start(self) -> None:
            begun.append(self)
            asked.append(threads.submit(store.run, Reserve("second", (Hold(USD, 100, 41),))))
            wait(asked, 0.3)
            super().start()

    monkeypatch.setattr("weighbridge.ledger.redis.Thread", Held)
    with ThreadPoolExecutor(1) as threads, closing(store):
        assert not isinstance(store.run(Reserve("first", (Hold(USD, 100, 41),))), Granted)
        assert not isinstance(asked[0].result(), Granted)
    assert len(begun) == 1


def test_what_has_ended_is_not_restored(opened: Callable[..., Store], forgetful: Server) -> None:
    store = opened(forgetful.url, deadline=PATIENT)
    store.run(Reserve("r", (Hold(USD, 100, 60),)))
    store.run(Settle("r"))
    forgetful.restart()
    store.run(Reserve("new", (Hold(USD, 100, 1),)))
    assert [id for id, _ in store.run(OpenHolds())] == ["new"]


def test_a_server_that_forgot_nothing_is_changed_in_nothing(opened: Callable[..., Store]) -> None:
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        server = Server(next(iter(binaries().values())), Path(folder), "--appendonly", "yes", "--appendfsync", "always")
        try:
            store = opened(server.url, deadline=PATIENT)
            calls(store, 0, 20)
            before = store.run(Peek((USD,))), store.run(Entries())
            server.restart()
            store.run(Reserve("new", (Hold(USD, None, 0),)))
            assert (store.run(Peek((USD,))), store.run(Entries())) == before
        finally:
            server.stop()


def test_what_is_remembered_is_bounded_in_time_and_by_root() -> None:
    now = [0.0]
    recent = Recent(lambda: now[0])
    holds = (Hold(USD, 100, 10, 1000, "h"),)
    kept = (Hold(USD, None, 10, 1000, "h"),)
    recent.answered(Reserve("r", holds, want=9, least=1), "0", Granted(5, (), 0, 3))
    recent.answered(Reserve("o", holds, want=9), "1", Granted(9, (), 0, 9))
    recent.answered(Extend("r", holds, 5), "0", Granted(5, (), 0, 4))
    recent.answered(Settle("s"), "0", None)
    held = Reserve("r", kept, want=5, least=5)
    assert recent.lost("0") == (Settle("s"), held, Extend("r", kept, 4))
    now[0] = 61.0
    assert recent.lost("0") == (held, Extend("r", kept, 4))
    recent.asking(Settle("r"), "0")
    assert recent.lost("0") == ()
    assert not recent.met("0", "a")
    assert recent.met("0", "b") and recent.met("0", "b"), "until it is restored"
    recent.restored("0", "b")
    assert not recent.met("0", "b")
    assert not recent.met("0", ""), "one that does not tell"


def test_a_call_that_nobody_ended_is_not_held_again_after_its_lease() -> None:
    now = [0.0]
    recent = Recent(lambda: now[0])
    for id in ("gone", "kept"):
        recent.answered(Reserve(id, (Hold(USD, 100, 10),), lease_ms=2000), "0", Granted(0, (), 0, 0))
    now[0] = 1.0
    recent.answered(Renew("kept", 2000), "0", True)
    recent.answered(Renew("gone", 2000), "0", False)
    now[0] = 2.0
    assert recent.lost("0") == (Reserve("kept", (Hold(USD, None, 10),), lease_ms=2000),)
    now[0] = 3.0
    assert recent.lost("0") == ()


@pytest.fixture
def watch() -> Iterator[Watch]:
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        fleet = Watch(next(iter(binaries().values())), Path(folder), down=700)
        try:
            fleet.agree()
            yield fleet
        finally:
            fleet.stop()


def test_a_failover_with_writes_lost(watch: Watch, opened: Callable[..., Store]) -> None:
    prefix = fresh()
    store = opened(watch.url, deadline=PATIENT, prefix=prefix)
    calls(store, 0, 10)
    watch.primary.ask("WAIT", 1, 5000)
    watch.replica.pause()
    # Else the kernel would keep for the replica what it is too busy to read.
    watch.primary.ask("CLIENT", "KILL", "TYPE", "replica")
    calls(store, 10, 40)
    lost = store.run(Peek((USD,)))
    watch.primary.kill()
    watch.replica.resume()
    eventually(lambda: watch.named() == watch.replica.port, "the failover")
    other = opened(watch.url, deadline=PATIENT, prefix=prefix)
    assert other.run(Peek((USD,))) == (State(5 * 3, 5 * 10),)
    assert isinstance(store.run(Reserve("new", (Hold(USD, None, 0),))), Granted)
    assert other.run(Peek((USD,))) == lost == (State(20 * 3, 20 * 10),)


def test_a_primary_that_is_demoted(watch: Watch, opened: Callable[..., Store]) -> None:
    store = opened(watch.url, deadline=PATIENT)
    calls(store, 0, 4)
    watch.primary.ask("WAIT", 1, 5000)
    eventually(lambda: watch.sentinels[0].ask("SENTINEL", "FAILOVER", "books"), "the failover begins")
    eventually(lambda: watch.named() == watch.replica.port, "the failover")
    assert settle(store, "r1", 3) == "settled"
    assert store.run(Peek((USD,))) == (State(9, 10),)


def test_slots_that_move_while_calls_run(cluster_url: str, opened: Callable[..., Store]) -> None:
    """ASK for what is not there yet, TRYAGAIN for half of it, MOVED in the end."""
    prefix, root = fresh(), root_of(TEAM)
    store = opened(cluster_url, deadline=PATIENT, prefix=prefix)
    slot = key_slot(root.encode())
    ports = [int(place.rpartition(":")[2]) for place in cluster_url.removeprefix("redis+cluster://").split(",")]
    nodes = {port: _client(port) for port in ports}
    owner = next(
        place[2][1] for place in nodes[ports[0]].execute_command("CLUSTER", "SLOTS") if place[0] <= slot <= place[1]
    )
    target = next(port for port in ports if port != owner)
    store.run(Reserve("r", (Hold(TEAM, None, 10),)))
    ids = {port: nodes[port].execute_command("CLUSTER", "MYID") for port in ports}
    nodes[target].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
    nodes[owner].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    with ThreadPoolExecutor(2) as pool:
        # Some of the keys a script names are not there yet: the calls wait until all are on one side.
        waiting = pool.submit(RedisStore(cluster_url, deadline=PATIENT, prefix=prefix).run, _settlement())
        other = RedisStore(cluster_url, deadline=PATIENT, prefix=fresh())
        new = pool.submit(other.run, Reserve("r", (Hold(TEAM, 10, 10),)))
        while keys := nodes[owner].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            nodes[owner].execute_command("MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *keys)
        for node in (target, owner):
            nodes[node].execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        assert waiting.result().outcome == "settled"
        assert isinstance(new.result(), Granted)
    assert store.run(Renew("r")) is False
    assert store.run(Peek((TEAM,))) == (State(4, 0),)
    assert other.run(Peek((TEAM,))) == (State(0, 10),)
    other.close()
    for client in nodes.values():
        client.close()


def _settlement() -> Settle:
    return Settle("r", (Charge(TEAM, 4),), Entry("r"))


def _client(port: int) -> Any:
    import redis

    return redis.Redis(port=port, decode_responses=True)


def test_a_node_that_dies_takes_its_teams_only(opened: Callable[..., Store]) -> None:
    """Without replicas its slots are down: named in time, and no hold is left in the others."""
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        cluster = Cluster(next(iter(binaries().values())), Path(folder))
        try:
            cluster.agree()
            _without_a_node(cluster, opened)
        finally:
            cluster.stop()


def _without_a_node(cluster: Cluster, opened: Callable[..., Store]) -> None:
    from weighbridge.core.errors import StoreUnavailable

    store = opened(cluster.url, deadline=1.5)
    for node in cluster.nodes:
        node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    eventually(lambda: _reserved(store, "first"), "a reservation")
    general: Node = cluster.nodes[key_slot(b"0") * len(cluster.nodes) // 16384]
    store.run(Settle("first"))
    general.kill()
    with pytest.raises(StoreUnavailable):
        store.run(Reserve("r", (Hold(TEAM, 100, 10), Hold(USD, 100, 10))))
    assert store.run(Peek((TEAM,))) == (State(0, 0),)
    assert isinstance(store.run(Reserve("own", (Hold(TEAM, 100, 10),))), Granted)


def _reserved(store: Store, id: str) -> bool:
    return isinstance(store.run(Reserve(id, (Hold(TEAM, 100, 10), Hold(USD, 100, 10)))), Granted)
