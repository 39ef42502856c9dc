"""What the tests of every store share."""

from __future__ import annotations

import asyncio
import itertools
from typing import TypeVar

from weighbridge.core.ledger import Verb
from weighbridge.ledger import AsyncStore
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
