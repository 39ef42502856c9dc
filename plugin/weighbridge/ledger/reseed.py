"""What a server may have lost, and this process still knows.

A server that crashes comes back with its last save; a replica that takes over lacks what had not
reached it.  So each store remembers its open reservations and its settlements of the last minute, and
runs them again when another server answers than before, or the same after a restart.  Ids make that
harmless: what the server knows changes nothing, what it lost is held and charged once more.  What
stays lost is what processes did that have ended meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from threading import Lock
from typing import Any

from weighbridge.core.ledger import Extend, Granted, Renew, Reserve, Settle, Verb
from weighbridge.ledger.roots import Void

MINUTE = 60.0
MOST_OPEN = 20_000
MOST_SETTLED = 20_000
"""Reservations and settlements remembered; beyond them the oldest are forgotten."""

Call = tuple[str, str]
"""Root and id."""
ENDING = (Settle, Void)


class Recent:
    """The memory of one store.  `clock` answers seconds, from wherever it likes.  Threads may share it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._open: dict[Call, tuple[Reserve, Granted]] = {}
        self._ends: dict[Call, float] = {}
        self._covered: dict[Call, tuple[Extend, Granted]] = {}
        self._settled: deque[tuple[float, str, Settle]] = deque(maxlen=MOST_SETTLED)
        self._servers: dict[str, str] = {}

    def asking(self, verb: Verb[Any], root: str) -> None:
        """A verb is about to be sent: what it ends is not to be restored any more."""
        if isinstance(verb, ENDING):
            with self._lock:
                self._forget((root, verb.id))

    def answered(self, verb: Verb[Any], root: str, answer: Any) -> None:
        """A verb was answered: the server is not to lose it."""
        match verb, answer:
            case Reserve(), Granted():
                self._hold(verb, root, answer)
            case Extend(), Granted():
                with self._lock:
                    self._covered[root, verb.id] = verb, answer
            case Renew(), True:
                with self._lock:
                    self._lease((root, verb.id), verb.lease_ms)
            case Settle(), _:
                self._end(verb, root)

    def knows(self, root: str, server: str) -> bool:
        """Whether a root is served by the server that served it before."""
        return self._servers.get(root) == server

    def met(self, root: str, server: str) -> bool:
        """Whether a root is served by another server than the last time.  `restored` settles it."""
        known = self._servers.setdefault(root, server)
        return known != server and bool(server)

    def restored(self, root: str, server: str) -> None:
        """A server has been told everything `lost` says."""
        self._servers[root] = server

    def lost(self, root: str) -> tuple[Verb[Any], ...]:
        """What a root's server may lack: settlements first, so that what they ended stays ended."""
        with self._lock:
            self._age()
            self._expire()
            settled: list[Verb[Any]] = [verb for _, at, verb in self._settled if at == root]
            held: list[Verb[Any]] = [_held(*kept) for (at, _), kept in self._open.items() if at == root]
            more: list[Verb[Any]] = [_more(*kept) for (at, _), kept in self._covered.items() if at == root]
        return (*settled, *held, *more)

    def _hold(self, verb: Reserve, root: str, answer: Granted) -> None:
        with self._lock:
            self._open[root, verb.id] = verb, answer
            self._lease((root, verb.id), verb.lease_ms)
            if len(self._open) > MOST_OPEN:
                self._forget(next(iter(self._open)))

    def _end(self, verb: Settle, root: str) -> None:
        with self._lock:
            self._forget((root, verb.id))
            self._settled.append((self._clock(), root, verb))
            self._age()

    def _forget(self, call: Call) -> None:
        self._open.pop(call, None)
        self._ends.pop(call, None)
        self._covered.pop(call, None)

    def _lease(self, call: Call, lease_ms: int) -> None:
        if call in self._open:
            self._ends[call] = self._clock() + lease_ms / 1000

    def _expire(self) -> None:
        """What nobody settled or renewed in time was given back, and is not to be held again."""
        for call in [call for call, end in self._ends.items() if end <= self._clock()]:
            self._forget(call)

    def _age(self) -> None:
        while self._settled and self._settled[0][0] < self._clock() - MINUTE:
            self._settled.popleft()


def _held(verb: Reserve, answer: Granted) -> Reserve:
    """As much as was granted, and never refused: the money is on its way already."""
    return replace(verb, holds=_unlimited(verb), want=answer.units, least=answer.units)


def _more(verb: Extend, answer: Granted) -> Extend:
    return replace(verb, holds=_unlimited(verb), units=answer.covered)


def _unlimited(verb: Reserve | Extend) -> tuple[Any, ...]:
    return tuple(replace(hold, limit=None) for hold in verb.holds)
