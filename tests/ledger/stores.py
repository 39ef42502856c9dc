"""What the tests of every store share."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, TypeVar

from weighbridge.core.ledger import Counters, Verb
from weighbridge.ledger import AsyncStore
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore
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
    if isinstance(store, Sync):
        return bases(_Asked(store)) if hasattr(store.store, "_wire") else bases(store.store)
    if isinstance(store, AsyncMemoryStore):
        return bases(store._store)
    if isinstance(store, MemoryStore):
        return dict(store.books.bases)
    reply = store._ask(store._wire.encode(Counters()))
    found = dict(zip(reply[::2], reply[1::2], strict=True))
    return {name[2:].decode(): int(amount) for name, amount in found.items() if name.startswith(b"b:")}


class _Asked:
    """An async store over Redis, asked for a raw reply."""

    def __init__(self, store: Sync) -> None:
        self._wire = store.store._wire  # type: ignore[attr-defined]
        self._ask = lambda command: store.runner.run(store.store._ask(command))  # type: ignore[attr-defined]


def fresh() -> str:
    """A prefix no other test uses."""
    return f"test{next(_numbers)}"
