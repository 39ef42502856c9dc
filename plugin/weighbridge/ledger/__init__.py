"""The ledger's two faces: a store runs one verb of `core.ledger` at a time, atomically."""

from __future__ import annotations

from typing import Protocol, TypeVar

from weighbridge.core.ledger import Verb

T = TypeVar("T")


class Store(Protocol):
    """A ledger for threads."""

    def run(self, verb: Verb[T]) -> T:
        """The verb's answer.  Raises StoreUnavailable, StoreCorrupt, or ConfigError for a verb
        that no ledger takes (an amount that is negative, not whole, or too large)."""

    def close(self) -> None:
        """Let go of connections; the store is not used again."""


class AsyncStore(Protocol):
    """A ledger for an event loop."""

    async def run(self, verb: Verb[T]) -> T:
        """As `Store.run`.  A caller that is cancelled harms no other."""

    async def close(self) -> None:
        """As `Store.close`."""
