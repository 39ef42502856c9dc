"""A failover and a slot migration under fire: `pytest -m long -k "failover or migration" -s`.

What an asynchronous failover can lose: what the old primary acknowledged and had not sent on, no
older than the replication lag, and all it acknowledges after the sentinels chose another and before
it steps down (`min-replicas-to-write 1` with `min-replicas-max-lag N` ends that after N seconds and
one).  Workers that still live when they meet the new primary run their settlements of the last minute
again, so in the end only settlements of processes that ended before are lost; the test counts them.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import sleep, time
from typing import Any

import pytest
import redis

from ledger.fire.stage import (
    DEADLINE,
    Observer,
    Scene,
    abandon,
    drift,
    entries,
    leases_over,
    nothing_held,
    take_all_that_is_left,
    unfinished,
)
from ledger.fleets import Cluster, Node, Watch, eventually
from ledger.servers import binaries
from weighbridge.ledger import Store
from weighbridge.ledger.open import open_store

pytestmark = pytest.mark.long
OPERATIONS = 6000
SLOTS_MOVED = 12


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wb") as name:
        yield Path(name)


@pytest.fixture
def fleet(folder: Path, request: Any) -> Iterator[Any]:
    if "path" not in binaries():
        pytest.skip("no redis-server on PATH")
    (folder / "fleet").mkdir()
    running = request.param(binaries()["path"], folder / "fleet")
    try:
        running.agree()
        yield running
    finally:
        for node in running.nodes:
            node.resume()
        running.stop()


def opened(scene: Scene) -> Store:
    return open_store(scene.url, clock=lambda: int(time() * 1000), directory=scene.folder, timeout=10)


def burn(scene: Scene, once: dict[str, Callable[[], None]], flushed: list[Node]) -> None:
    """Play a scene, watched."""

    def flush() -> None:
        for node in flushed:
            with suppress(redis.RedisError), redis.Redis(port=node.port, socket_timeout=1) as client:
                client.script_flush()

    store = opened(scene)
    observer = Observer(store, scene)
    try:
        scene.play({"SCRIPT FLUSH": flush}, once)
    finally:
        observer.close()
        store.close()
        scene.stop()
    assert observer.wrong == []
    print(f"\n{scene.done()} operations, {observer.looks} looks, {dict(scene.happened)}")


def judged(scene: Scene, roots: int) -> set[str]:
    """The ids of settlements that were acknowledged and are not there; everything else is as it must be."""
    store = opened(scene)
    journal = entries(store)
    ids = [entry.id for entry in journal]
    assert len(ids) == len(set(ids))
    acknowledged = {str(rest[0]) for what, *rest in scene.said() if what == "settled"}
    missing, most = drift(store, journal), unfinished(scene, journal) if roots > 1 else {}
    assert {name: (by, most.get(name, 0)) for name, by in missing.items() if not 0 < by <= most.get(name, 0)} == {}
    abandon(store, scene.budget)
    leases_over(store)
    assert take_all_that_is_left(store, scene.limit_of) >= 5
    nothing_held(store)
    store.close()
    print(f"{len(ids)} settlements; in the journal and not on the counter, of the dead between two roots: {missing}")
    return acknowledged - set(ids)


def ended_before(scene: Scene, moment: float) -> Callable[[str], bool]:
    """Whether the process that made a call said nothing after `moment`: killed, or done with its part."""
    last: dict[str, float] = {}
    for what, *rest in scene.said():
        if what == "settled":
            last[str(rest[0]).rpartition("-")[0]] = float(str(rest[2]))
    return lambda id: last[id.rpartition("-")[0]] < moment


GUARD = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
HOW: dict[str, Callable[..., Watch]] = {
    "killed": Watch,
    "frozen": Watch,
    "frozen, guarded": lambda binary, folder: Watch(binary, folder, *GUARD),
}
"""The primary dies; it hangs until there is another, then both take writes until the sentinels
demote it (about ten seconds); the same with a primary that takes none without its replica."""


@pytest.mark.parametrize(("fleet", "how"), [(make, how) for how, make in HOW.items()], indirect=["fleet"], ids=HOW)
def test_a_failover_in_the_middle(folder: Path, fleet: Watch, how: str) -> None:
    scene = Scene(fleet.url, folder, OPERATIONS)
    old, times = fleet.primary, [0.0]

    def fail() -> None:
        with old.client() as client:
            # The replica lags: what comes now is acknowledged and not sent on.
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
        sleep(0.3)
        old.kill() if how == "killed" else old.pause()
        eventually(lambda: fleet.named() != old.port, "another primary")
        times[0] = time()
        if how != "killed":
            old.resume()
            stepping_down.start()

    def step_down() -> None:
        eventually(lambda: old.ask("ROLE")[0] == "slave", "the old primary steps down")
        times.append(time())

    # Beside the scene, in which workers go on dying.
    stepping_down = threading.Thread(target=step_down)
    burn(scene, {"failover": fail}, [fleet.primary, fleet.replica])
    if how != "killed":
        stepping_down.join()
    lost = judged(scene, roots=1)
    gone = ended_before(scene, times[-1] + DEADLINE)
    print(f"{how}: two primaries for {times[-1] - times[0]:.1f} s; {len(lost)} acknowledged settlements are lost")
    assert [id for id in lost if not gone(id)] == []


@pytest.mark.parametrize("fleet", [Cluster], indirect=True)
def test_a_slot_migration_in_the_middle(folder: Path, fleet: Cluster) -> None:
    scene = Scene(fleet.url, folder, OPERATIONS)
    burn(scene, {"migration": lambda: migrate(fleet)}, fleet.nodes)
    assert judged(scene, roots=64) == set()


def migrate(fleet: Cluster) -> None:
    """Move the slots that have keys to the next node, key by key, while they are used."""
    for number, node in enumerate(fleet.nodes):
        target = fleet.nodes[(number + 1) % len(fleet.nodes)]
        slots = sorted({int(node.ask("CLUSTER", "KEYSLOT", key)) for key in node.ask("KEYS", "*")})
        for slot in slots[:SLOTS_MOVED]:
            _move(fleet, node, target, slot)


def _move(fleet: Cluster, source: Node, target: Node, slot: int) -> None:
    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", fleet.id(source))
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", fleet.id(target))
    while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
        source.ask("MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5000)
        # Half here, half there: scripts on all of them have to wait.
        sleep(0.03)
    for node in (target, source, *fleet.nodes):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", fleet.id(target))
