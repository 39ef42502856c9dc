"""A store by its URL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Verb
from weighbridge.ledger import AsyncStore, Store
from weighbridge.ledger.address import KINDS
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore
from weighbridge.ledger.redis import DEADLINE, AsyncRedisStore, RedisStore
from weighbridge.ledger.upkeep import JOURNAL_ENTRIES, Upkeep

if TYPE_CHECKING:
    from weighbridge.ledger.embedded import Joined

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a store needs to know beside its URL."""

    clock: Callable[[], int]
    directory: Path
    timeout: float
    prefix: str
    upkeep: Upkeep


def open_store(
    url: str,
    *,
    clock: Callable[[], int],
    directory: Path,
    timeout: float = DEADLINE,
    journal_entries: int = JOURNAL_ENTRIES,
    prefix: str = "weighbridge",
) -> Store:
    """The store at `url`, for threads: redis://, rediss://, unix://, redis+sentinel://,
    redis+cluster:// (address.py), embedded:, embedded:PATH or memory://.

    `clock` (milliseconds) is memory's; the others ask their server.  `directory` is where
    `embedded:` keeps its data, `timeout` the seconds a call may take, `journal_entries` how many
    the journal keeps, about, and `prefix` the first part of every key.

    Servers are connected when first asked; `embedded:` starts its own.  Raises ConfigError for a
    URL that is none, StoreUnavailable for an embedded server that does not start."""
    return _row(url)[0](url, Terms(clock, directory, timeout, prefix, Upkeep(journal_cap=journal_entries)))


async def open_async_store(
    url: str,
    *,
    clock: Callable[[], int],
    directory: Path,
    timeout: float = DEADLINE,
    journal_entries: int = JOURNAL_ENTRIES,
    prefix: str = "weighbridge",
) -> AsyncStore:
    """As `open_store`, for an event loop."""
    terms = Terms(clock, directory, timeout, prefix, Upkeep(journal_cap=journal_entries))
    # Starting an embedded server waits: not in the loop.
    return await asyncio.to_thread(_row(url)[1], url, terms)


def _row(url: str) -> tuple[Callable[[str, Terms], Store], Callable[[str, Terms], AsyncStore]]:
    scheme = url.partition(":")[0]
    if scheme not in SCHEMES:
        raise ConfigError(f"no store is called {scheme!r}: give {', '.join(f'{name}:' for name in SCHEMES)}")
    return SCHEMES[scheme]


def _redis(url: str, terms: Terms) -> RedisStore:
    return RedisStore(url, deadline=terms.timeout, prefix=terms.prefix, upkeep=terms.upkeep)


def _async_redis(url: str, terms: Terms) -> AsyncRedisStore:
    return AsyncRedisStore(url, deadline=terms.timeout, prefix=terms.prefix, upkeep=terms.upkeep)


def _memory(url: str, terms: Terms) -> MemoryStore:
    return MemoryStore(terms.clock, terms.upkeep)


def _async_memory(url: str, terms: Terms) -> AsyncMemoryStore:
    return AsyncMemoryStore(_memory(url, terms))


def _join(url: str, terms: Terms) -> Joined:
    try:
        from weighbridge.ledger.embedded import join
    except ImportError as error:
        raise ConfigError(f"the embedded store needs Linux or macOS ({error}): use memory:// or redis://") from error
    path = url.partition(":")[2]
    return join(Path(path) if path else terms.directory)


def _embedded(url: str, terms: Terms) -> Store:
    joined = _join(url, terms)
    return Lodger(_redis(joined.url, terms), joined)


def _async_embedded(url: str, terms: Terms) -> AsyncStore:
    joined = _join(url, terms)
    return AsyncLodger(_async_redis(joined.url, terms), joined)


@dataclass(frozen=True, slots=True)
class Lodger:
    """A store on the embedded server, which it leaves when closed."""

    store: Store
    joined: Joined

    def run(self, verb: Verb[T]) -> T:
        return self.store.run(verb)

    def close(self) -> None:
        self.store.close()
        self.joined.close()


@dataclass(frozen=True, slots=True)
class AsyncLodger:
    """As Lodger, for an event loop."""

    store: AsyncStore
    joined: Joined

    async def run(self, verb: Verb[T]) -> T:
        return await self.store.run(verb)

    async def close(self) -> None:
        await self.store.close()
        self.joined.close()


SCHEMES: Mapping[str, tuple[Callable[[str, Terms], Store], Callable[[str, Terms], AsyncStore]]] = {
    **dict.fromkeys(KINDS, (_redis, _async_redis)),
    "embedded": (_embedded, _async_embedded),
    "memory": (_memory, _async_memory),
}
