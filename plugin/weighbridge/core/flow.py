"""What a flow may wait for.

A flow is a generator: it yields a step and is sent its answer; whoever drives it decides how to wait,
so the order of things is written once for programs with an event loop and without.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from weighbridge.core.ledger import Verb

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Heavy:
    """Work that takes the processor for long; the answer is what it returns."""

    work: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Post:
    """An HTTP request; the answer is Answered or Unanswered, never an exception."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    """Holds the provider's key, and is never shown."""
    body: bytes = field(repr=False)
    seconds: float
    """Longest wait for the whole answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Nothing came back."""

    why: str
    sent: bool = True
    """False where the request certainly never arrived."""


Step = Verb[Any] | Pause | Heavy | Post
Flow = Generator[Step, Any, T]


def ask(verb: Verb[T]) -> Flow[T]:
    """Put a verb to the ledger."""
    return cast(T, (yield verb))


def heavy(work: Callable[[], T]) -> Flow[T]:
    """Have work done where it keeps nobody waiting."""
    return cast(T, (yield Heavy(work)))


def send(post: Post) -> Flow[Answered | Unanswered]:
    """Send an HTTP request."""
    return cast(Answered | Unanswered, (yield post))
