"""How a command finds its server, without a socket in sight: a trip is a generator of steps.

    trip -> Ask(node, words) -> (a driver with connections and a deadline) -> reply, or the error thrown in
    trip -> Nap(seconds)     -> True, or False where the deadline leaves no time for it

The driver for threads and the one for event loops (redis.py) run the same trips, so what each
answer of a server leads to is decided once: here, in sentinel.py and in cluster.py.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from redis.exceptions import NoScriptError, RedisError

from weighbridge.ledger.address import Node
from weighbridge.ledger.commands import Command, Word
from weighbridge.ledger.faults import LATE, LOST, code_of
from weighbridge.ledger.scripts import SCRIPTS

T = TypeVar("T")
Failure = RedisError | OSError


@dataclass(frozen=True, slots=True)
class Ask:
    """A command for a server."""

    node: Node
    words: tuple[Word, ...]
    first: tuple[Word, ...] = ()
    """Sent just before, on the same connection."""
    watcher: bool = False
    """To a sentinel, with its password."""
    patience: float | None = None
    """Seconds to wait, where that is less than the deadline: there are others to ask."""


@dataclass(frozen=True, slots=True)
class Nap:
    """Time for the servers to sort themselves out."""

    seconds: float


Step = Ask | Nap
Trip = Generator[Step, Any, T]
Detour = tuple[Node, tuple[Word, ...]]
"""Where to ask instead, this once, and the word to say before."""

PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2)
"""Seconds before each further attempt; the last is repeated.  The first is made at once."""
SHARE_OF_ONE = 4
"""One of several servers that could tell may take this part of the deadline, no more."""


class Chart(Protocol):
    """Which server answers for a key."""

    def near(self, key: str) -> Node | None:
        """The server to ask, where that is known."""

    def node(self, key: str) -> Trip[Node]:
        """The server to ask, found out where need be."""

    def nodes(self) -> Trip[tuple[Node, ...]]:
        """Every server that keeps data and takes writes."""

    def after(self, error: Failure, key: str, tries: int) -> Trip[Detour | None]:
        """What an error leads to: another attempt (by a detour or not), or the error raised."""


def words(command: Command, *, source: bool = False) -> tuple[Word, ...]:
    """A command as sent; `source` sends the script itself to a server that does not know it."""
    if not command.script:
        return command.args
    script = SCRIPTS[command.script]
    name, body = ("EVAL", script.source) if source else ("EVALSHA", script.sha)
    return (name, body, len(command.keys), *command.keys, *command.args)


def journey(chart: Chart, command: Command, met: Failure | None = None) -> Trip[Any]:
    """The reply to a command, from whichever server answers for it.  `met`: what came of a first
    attempt without a journey."""
    key, tries = command.keys[0], 0
    detour: Detour | None = None
    if met is not None and not isinstance(met, NoScriptError):
        detour = yield from chart.after(met, key, tries)
        tries += 1
    while True:
        error: Failure
        try:
            node, first = detour or ((yield from chart.node(key)), ())
            return (yield from _told(node, command, first))
        except (RedisError, OSError) as failed:
            # Dealt with outside, so that no later error has this one for its cause.
            error = failed
        detour = yield from chart.after(error, key, tries)
        tries += 1


def _told(node: Node, command: Command, first: tuple[Word, ...]) -> Trip[Any]:
    with suppress(NoScriptError):
        return (yield Ask(node, words(command), first))
    return (yield Ask(node, words(command, source=True), first))


def rest(error: Failure, tries: int) -> Trip[None]:
    """A pause before the next attempt; the error where there is no time for one."""
    seconds = PAUSES[min(tries, len(PAUSES) - 1)]
    if not (yield Nap(seconds)):
        raise error


def passing(error: Failure, codes: Mapping[str, int], tries: int) -> bool:
    """Whether another attempt may meet something else: `codes` says how often each answer is worth
    one; a broken connection always is, an answer that does not come never (the time is over)."""
    if isinstance(error, LATE):
        return False
    code = code_of(error)
    return isinstance(error, LOST) if code is None else tries < codes.get(code, 0)


@dataclass(frozen=True, slots=True)
class OneServer:
    """A single server: asked once more where the connection broke, as it may have been an old one."""

    at: Node

    def near(self, key: str) -> Node | None:
        return self.at

    def node(self, key: str) -> Trip[Node]:
        yield from ()
        return self.at

    def nodes(self) -> Trip[tuple[Node, ...]]:
        yield from ()
        return (self.at,)

    def after(self, error: Failure, key: str, tries: int) -> Trip[Detour | None]:
        yield from ()
        if tries or not passing(error, {}, tries):
            raise error
        return None
