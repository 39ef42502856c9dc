"""Conservation under fire.  A small scene always; the full one by `pytest -m long -k fire -s`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from time import sleep

import pytest

from ledger.fire.order import replay
from ledger.fire.proxy import FaultProxy
from ledger.fire.stage import (
    Observer,
    Scene,
    abandon,
    drift,
    entries,
    leases_over,
    nothing_held,
    settled_exactly_once,
    take_all_that_is_left,
)
from ledger.servers import Server, binaries
from weighbridge.ledger.redis import RedisStore


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wb") as name:
        yield Path(name)


@pytest.mark.parametrize("operations", [2000, pytest.param(20_000, marks=pytest.mark.long)])
def test_conservation_under_fire(folder: Path, operations: int) -> None:
    if "path" not in binaries():
        pytest.skip("no redis-server on PATH")
    (folder / "data").mkdir()
    server = Server(binaries()["path"], folder / "data", "--appendonly", "yes", "--appendfsync", "no")
    proxy = FaultProxy(server.socket, seed=1)
    direct = RedisStore(server.url, deadline=10)
    scene = Scene(proxy.url, folder, operations)
    observer = Observer(direct, scene)
    dice = Random(2)

    def freeze() -> None:
        server.pause()
        sleep(dice.random() * 0.8)
        server.resume()

    def flush() -> None:
        with server.client() as client:
            client.script_flush()

    try:
        scene.play({"SIGSTOP": freeze, "SCRIPT FLUSH": flush}, {"restart": server.restart})
        proxy.calm = True
        abandon(direct, scene.budget)
        leases_over(direct)
        taken = take_all_that_is_left(direct, scene.limit_of)
        nothing_held(direct)
        journal = entries(direct)
        assert drift(direct, journal) == {}
        said = settled_exactly_once(scene, journal)
    finally:
        observer.close()
        scene.stop()
        proxy.close()
        direct.close()
        server.stop()
    assert observer.wrong == []
    books = replay(folder / "data", scene.limit_of)
    assert books.wrong == []
    assert books.journal == [entry.id for entry in journal]
    # The fire did burn, and the calls did meet limits.
    assert taken >= 5
    assert min(said["reserved Short"], said["reserved Granted"], said["settled settled"]) > operations / 50
    assert proxy.done["lost"]
    assert proxy.done.total() > operations / 500
    print(f"\n{scene.done()} operations, {books.steps} steps, {books.admitted} admissions, {observer.looks} looks")
    print(f"happened: {dict(scene.happened)}, proxy: {dict(proxy.done)}\nsaid: {dict(said)}")
