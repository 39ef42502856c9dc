"""What the tests of every store share."""

from __future__ import annotations

import asyncio
import itertools
from time import monotonic
from typing import Any, TypeVar

from weighbridge.core.ledger import Counter, Counters, Verb
from weighbridge.ledger import AsyncStore
from weighbridge.ledger.commands import Command
from weighbridge.ledger.driving import async_drive, drive
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore
from weighbridge.ledger.redis import REDIS
from weighbridge.ledger.roots import ALL, GENERAL, root_of
from weighbridge.ledger.travel import journey
from weighbridge.ledger.upkeep import Upkeep

T = TypeVar("T")
MINUTE = 60_000
UPKEEP = Upkeep(retention_ms=10 * MINUTE, sweep=2, sweep_short=50, journal_cap=8, fold=2)
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


def bases(store: Any) -> dict[str, int]:
    """What journal entries that are gone had charged, by the counter's field."""
    if isinstance(store, Sync) and isinstance(store.store, AsyncMemoryStore):
        return bases(store.store._store)
    if isinstance(store, MemoryStore):
        return dict(store.books.bases)
    total: dict[str, int] = {}
    under = store.store if isinstance(store, Sync) else store
    for root in ALL if under._roots else (GENERAL,):
        reply = _reply(store, under._wire.encode(Counters(), root))
        for name, amount in zip(reply[::2], reply[1::2], strict=True):
            if name.startswith(b"b:"):
                total[name[2:].decode()] = total.get(name[2:].decode(), 0) + int(amount)
    return total


def home(store: Any, counter: Counter) -> str:
    """The root a store keeps a counter in."""
    under = store.store if isinstance(store, Sync) else store
    return root_of(counter) if getattr(under, "_roots", None) else GENERAL


def _reply(store: Any, command: Command) -> Any:
    """What a server says to a command."""
    if not isinstance(store, Sync):
        until = monotonic() + 30
        return drive(journey(store._chart, command), lambda step: store._do(step, until, None), REDIS)

    async def asked(store: Any) -> Any:
        until = asyncio.get_running_loop().time() + 30
        return await async_drive(journey(store._chart, command), lambda step: store._do(step, until, None), REDIS)

    return store.runner.run(asked(store.store))


def fresh() -> str:
    """A prefix no other test uses."""
    return f"test{next(_numbers)}"
