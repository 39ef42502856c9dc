"""The nouns of asking: what is put to a provider, on whose account, and when there is nothing to put."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from weighbridge.core.model import Call, Json, RawCall

T = TypeVar("T")
MOST_TOKENS = 2**31
"""An answer above this is no count."""


class Uncountable(Exception):
    """The provider's counter cannot be asked about this request; the words say why."""


class Unreadable(Exception):
    """The provider's answer holds no count."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a provider's counter, without its address and key."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    lasting: bool = True
    """False where the same question may have another answer later (a stored conversation grows)."""
    more: int = 0
    """Tokens that may come on top of the answer, because what is asked is not quite what is sent."""


@dataclass(frozen=True, slots=True)
class Api:
    """One provider's counter."""

    name: str
    method: str
    """What `Estimate.method` says of its answers."""
    dialects: frozenset[str]
    key: tuple[str, str]
    """Header the key goes into, and its form."""
    question: Callable[[RawCall, Call], Question]
    """Raises Uncountable."""
    tokens: Callable[[Json], int]
    """The count in an answer's JSON.  Raises Unreadable."""


@dataclass(frozen=True, slots=True)
class Account:
    """A provider that may be asked, and how often."""

    provider: str
    """Its name in the settings."""
    api: Api
    base_url: str
    key: str = field(repr=False)
    per_minute: int | None = None
    """Most questions a minute from this process; None: as many as there are."""


def chosen(body: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The members a counter knows, in their order; what is null is left out."""
    return {name: value for name, value in body.items() if name in names and value is not None}


def number(document: Json, key: str) -> int:
    """A count of tokens at `key`.  Raises Unreadable."""
    found = document.get(key) if isinstance(document, dict) else None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= MOST_TOKENS:
        raise Unreadable(f"no count under {key!r}")
    return found
