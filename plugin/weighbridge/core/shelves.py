"""Documents a ledger keeps beside its numbers (policies, keys): verbs as in `core.ledger`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from weighbridge.core.ledger import Verb

Shelf = Literal["policies", "keys", "credits"]


@dataclass(frozen=True, slots=True)
class Fetch(Verb["Mapping[str, Any]"]):
    """All documents of a shelf, by name."""

    shelf: Shelf


@dataclass(frozen=True, slots=True)
class Look(Verb["Any"]):
    """One document of a shelf, or None."""

    shelf: Shelf
    name: str


@dataclass(frozen=True, slots=True)
class Version(Verb[int]):
    """A number that grows with every change of a shelf (0: never written)."""

    shelf: Shelf


@dataclass(frozen=True, slots=True)
class Put(Verb[int]):
    """Write documents and drop names in one step; answers the shelf's new version."""

    shelf: Shelf
    documents: Mapping[str, Any]
    drop: tuple[str, ...] = ()
    only_if_empty: bool = False
    """Write only where the shelf has never been written (policies applied at start)."""
