"""The ledger on Redis or Valkey: one server, a primary that sentinels watch, or a cluster.

A verb is one round trip; on a cluster, one for each root its counters are in.  Every call has a
deadline, whatever it does: connecting, asking sentinels, following redirections.  Where a connection
breaks, the command is sent again with the same id inside that deadline: a repeated reserve, settle
or renewal changes nothing, and a repeated `Put` writes the same documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Any, TypeVar, cast

from redis.exceptions import RedisError, ResponseError

from weighbridge.core.errors import StoreError
from weighbridge.core.ledger import Reserve, Verb
from weighbridge.ledger.address import Address, Kind, address_of
from weighbridge.ledger.cluster import Sharded
from weighbridge.ledger.commands import Command
from weighbridge.ledger.door import check
from weighbridge.ledger.driving import async_drive, drive
from weighbridge.ledger.faults import fault, place_of
from weighbridge.ledger.lines import Lines, left
from weighbridge.ledger.multiplexed import Links
from weighbridge.ledger.reseed import Recent
from weighbridge.ledger.roots import GENERAL, Parts, Roots, Void
from weighbridge.ledger.sentinel import Watched
from weighbridge.ledger.travel import Ask, Chart, Failure, Nap, OneServer, Step, journey, words
from weighbridge.ledger.upkeep import Upkeep
from weighbridge.ledger.wire import Wire

T = TypeVar("T")
Meet = Callable[[str], Awaitable[None]]
REDIS = (RedisError, OSError)
STORE = (StoreError,)
DEADLINE = 2.0
"""Seconds a call may take before the store counts as unavailable."""
PATIENCE = 0.25
"""The part of the deadline one of several servers that could tell may take."""
LAST_WORD = 0.1
"""The part of the deadline kept for voiding what some roots hold when another does not answer."""
WAITING = 0.5
"""The part of what is left that a reservation waits for a server to be told what it lost."""
AT_ONCE = 100
"""Verbs run side by side while it is told."""

CHARTS: Mapping[Kind, Callable[[Address, float], Chart]] = {
    "single": lambda address, patience: OneServer(address.nodes[0]),
    "sentinel": lambda address, patience: Watched(address.nodes, address.service, patience),
    "cluster": lambda address, patience: Sharded(address.nodes, patience),
}


class _Ledger:
    """What the store for threads and the one for event loops are both made of."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        prefix: str = "weighbridge",
        upkeep: Upkeep | None = None,
    ) -> None:
        self._address = address_of(url)
        self._place = place_of(url)
        self._deadline = deadline
        self._wire = Wire(prefix, upkeep)
        self._chart = CHARTS[self._address.kind](self._address, deadline * PATIENCE)
        self._roots = Roots() if self._address.kind == "cluster" else None
        self._recent = Recent(monotonic)

    def _fault(self, error: BaseException, command: Command) -> StoreError:
        return fault(error, self._place, command.keys[0])

    def _until(self, verb: Verb[Any], until: float) -> float:
        """When a part of a verb has to be done."""
        return until if self._roots is None or isinstance(verb, Void) else until - LAST_WORD * self._deadline


class RedisStore(_Ledger):
    """For threads: a connection per call.  `url` as in address.py; `deadline` in seconds."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._lines = Lines(self._address)
        self._meeting = Lock()
        self._mending: dict[str, Thread] = {}

    def run(self, verb: Verb[T]) -> T:
        """See `Store.run`."""
        until = monotonic() + self._deadline
        if self._roots is None:
            return cast(T, self._one(verb, GENERAL, until))
        check(verb)
        return cast(T, drive(self._roots.spread(verb), lambda parts: self._all(parts, until), STORE))

    def servers(self) -> dict[str, bytes]:
        """What every server says of itself (INFO), by its place.  Raises StoreUnavailable."""
        until = monotonic() + self._deadline

        def do(step: Step) -> Any:
            return self._do(step, until, None)

        try:
            nodes = drive(self._chart.nodes(), do, REDIS)
            return {f"{host}:{port}" if port else host: do(Ask((host, port), ("INFO",))) for host, port in nodes}
        except REDIS as error:
            raise fault(error, self._place, self._place) from error

    def close(self) -> None:
        """See `Store.close`."""
        self._lines.close()

    def _all(self, parts: Parts, until: float) -> list[Any]:
        """Each part's answer.  One that fails keeps no other from being run."""
        answers: list[Any] = []
        failed: StoreError | None = None
        for verb, root in parts:
            try:
                answers.append(self._one(verb, root, until))
            except StoreError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return answers

    def _one(self, verb: Verb[Any], root: str, until: float, *, again: bool = False) -> Any:
        command = self._wire.encode(verb, root)
        self._recent.asking(verb, root)
        until = self._until(verb, until)
        meet = None if again else partial(self._meet, verb, root, until)
        try:
            reply = drive(journey(self._chart, command), lambda step: self._do(step, until, meet), REDIS)
        except REDIS as error:
            raise self._fault(error, command) from error
        answer = self._wire.decode(verb, command, reply)
        if not again:
            self._recent.answered(verb, root, answer)
        return answer

    def _do(self, step: Step, until: float, meet: Callable[[str], None] | None) -> Any:
        if isinstance(step, Nap):
            return _nap(step, until)
        if step.patience is not None:
            until = min(until, monotonic() + step.patience)
        line = self._lines.take(step, until)
        try:
            if meet is not None and step.patience is None:
                meet(line.server)
            answer = line.call(step, until)
        except ResponseError:
            self._lines.give(step, line)
            raise
        except BaseException:
            # Whatever is still on its way must not answer the next call.
            self._lines.drop(step, line)
            raise
        self._lines.give(step, line)
        return answer

    def _meet(self, verb: Verb[Any], root: str, until: float, server: str) -> None:
        """Another server than before is told what it may lack; a reservation waits for it."""
        if self._recent.met(root, server):
            with self._meeting:
                running = self._mending.get(root)
                if self._recent.met(root, server) and not (running and running.is_alive()):
                    mending = Thread(target=self._mend, args=(root, server), daemon=True)
                    mending.start()
                    self._mending[root] = mending
        if isinstance(verb, Reserve) and (running := self._mending.get(root)):
            running.join(left(until) * WAITING)

    def _mend(self, root: str, server: str) -> None:
        try:
            for verb in self._recent.lost(root):
                self._one(verb, root, monotonic() + self._deadline, again=True)
            self._recent.restored(root, server)
        except StoreError:
            return  # it is down again: whoever meets it next begins anew


def _nap(nap: Nap, until: float) -> bool:
    if until - monotonic() <= nap.seconds:
        return False
    sleep(nap.seconds)
    return True


class AsyncRedisStore(_Ledger):
    """For an event loop: all callers share one connection to a server, made when first needed and
    again when it breaks.  Arguments as for RedisStore."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._links = Links(self._address, self._deadline)
        self._mending: dict[str, asyncio.Task[None]] = {}

    async def run(self, verb: Verb[T]) -> T:
        """See `AsyncStore.run`."""
        until = asyncio.get_running_loop().time() + self._deadline
        if self._roots is None:
            return cast(T, await self._one(verb, GENERAL, until))
        check(verb)
        return cast(T, await async_drive(self._roots.spread(verb), lambda parts: self._all(parts, until), STORE))

    async def close(self) -> None:
        """See `AsyncStore.close`."""
        for mending in tuple(self._mending.values()):
            mending.cancel()
        await self._links.close()

    async def _all(self, parts: Parts, until: float) -> list[Any]:
        """Each part's answer.  One that fails keeps no other from being run."""
        if len(parts) == 1:
            return [await self._one(*parts[0], until)]
        asked = (self._one(verb, root, until) for verb, root in parts)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def _one(self, verb: Verb[Any], root: str, until: float, *, again: bool = False) -> Any:
        command = self._wire.encode(verb, root)
        self._recent.asking(verb, root)
        until = self._until(verb, until)
        meet = None if again else partial(self._meet, verb, root, until)
        try:
            reply = await self._reply(command, root, until, meet)
        except REDIS as error:
            raise self._fault(error, command) from error
        answer = self._wire.decode(verb, command, reply)
        if not again:
            self._recent.answered(verb, root, answer)
        return answer

    async def _reply(self, command: Command, root: str, until: float, meet: Meet | None) -> Any:
        """Straight where all is as it was the last time, which saves half of what a call costs."""
        met: Failure | None = None
        link = self._links.at(self._chart.near(command.keys[0]))
        if link is not None and not self._mending and self._recent.knows(root, link.server):
            try:
                return await link.call(words(command), until)
            except REDIS as error:
                met = error
                if isinstance(error, TimeoutError):
                    link.suspect(self._deadline * (1 - LAST_WORD))
        return await async_drive(journey(self._chart, command, met), lambda step: self._do(step, until, meet), REDIS)

    async def _do(self, step: Step, until: float, meet: Meet | None) -> Any:
        now = asyncio.get_running_loop().time()
        if isinstance(step, Nap):
            return await _async_nap(step, until - now)
        if step.patience is not None:
            until = min(until, now + step.patience)
        try:
            async with asyncio.timeout_at(until):
                link = await self._links.to(step)
                if meet is not None and step.patience is None:
                    await meet(link.server)
                return await link.call(step.words, until, step.first)
        except TimeoutError:
            self._links.suspect(step, until - now)
            raise

    async def _meet(self, verb: Verb[Any], root: str, until: float, server: str) -> None:
        """As RedisStore._meet."""
        if self._recent.met(root, server) and root not in self._mending:
            self._mending[root] = asyncio.create_task(self._mend(root, server))
        if isinstance(verb, Reserve) and root in self._mending:
            seconds = until - asyncio.get_running_loop().time()
            await asyncio.wait([self._mending[root]], timeout=seconds * WAITING)

    async def _mend(self, root: str, server: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            lost = self._recent.lost(root)
            for first in range(0, len(lost), AT_ONCE):
                until = loop.time() + self._deadline
                some = (self._one(verb, root, until, again=True) for verb in lost[first : first + AT_ONCE])
                await asyncio.gather(*some)
            self._recent.restored(root, server)
        except StoreError:
            # It is down again: whoever meets it next begins anew.
            return
        finally:
            self._mending.pop(root, None)


async def _async_nap(nap: Nap, left: float) -> bool:
    if left <= nap.seconds:
        return False
    await asyncio.sleep(nap.seconds)
    return True
