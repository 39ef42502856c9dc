"""Drives crossings in an event loop."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar
from weakref import finalize

from weighbridge import wiring
from weighbridge.adapters.client.crossing import (
    LEFT,
    PATIENCE_SECONDS,
    UNREAD,
    Answer,
    Open,
    Read,
    Send,
    Settle,
    Step,
    Weigh,
    crossing,
    respond,
)
from weighbridge.adapters.client.terms import Terms
from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.model import Ending
from weighbridge.guard import AsyncGuard
from weighbridge.keeping import AsyncKeeper
from weighbridge.outage import store_down


class AsyncGate:
    """A transport for event loops: lets requests through `inner`.  `library` is httpx or httpx2,
    `stream` a subclass of `AsyncStream` and of its byte stream."""

    library: ClassVar[Any]
    stream: ClassVar[type[AsyncStream]]

    def __init__(
        self,
        transport: Any = None,
        *,
        guard: AsyncGuard | None = None,
        store: str | None = None,
        config: str | None = None,
        org: str | None = None,
        team: str | None = None,
        user: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.terms = Terms.of(guard, store=store, config=config, org=org, team=team, user=user, key=key, tags=tags)
        self._inner = self.library.AsyncHTTPTransport() if transport is None else transport
        self._built = guard is None
        self._guard = guard
        self._keeper: AsyncKeeper | None = None
        self._building = asyncio.Lock()
        self._working: set[asyncio.Task[None]] = set()
        self.readings: set[AsyncReading] = set()

    async def handle_async_request(self, request: Any) -> Any:
        """One request, as httpx calls it."""
        return respond(self.library, await self._drive(request), self._metered)

    def _metered(self, response: Any, answer: Answer) -> AsyncStream:
        assert self._guard is not None
        answer.note = partial(self._guard.note, answer.ticket)
        reading = AsyncReading(self, response, answer)
        self.readings.add(reading)
        return self.stream(reading)

    async def aclose(self) -> None:
        """Wait until everything that has ended is settled, and close the connections."""
        for reading in list(self.readings):
            await reading.leave()
        while self._working:
            await asyncio.wait(self._working)
            # Taken out here, not by their callbacks: waiting for what is done does not let those run.
            self._working = {task for task in self._working if not task.done()}
        atexit.unregister(self.give_up)
        await self._inner.aclose()
        if self._built and self._guard is not None:
            await self._guard.shut()

    def give_up(self) -> None:
        """The program ends, and the loop is gone: charge what was left lying about by another road."""
        left = [(reading.ticket, ending) for reading in self.readings if (ending := reading.give_up()) is not None]
        if left:
            guard = wiring.guard(self.terms.settings)
            for ticket, ending in left:
                with suppress(StoreError):
                    guard.close(ticket, ending)
                    if self._guard is not None:
                        self._guard.desk.forget(ticket)
            guard.shut()

    async def settle(self, ticket: Ticket, ending: Ending) -> None:
        """Settle; a store that is slow is not waited for."""
        await self.aside(self.settle_here(ticket, ending))

    async def settle_here(self, ticket: Ticket, ending: Ending) -> None:
        """Settle, however long it takes."""
        if self._keeper is not None:
            self._keeper.let_go(ticket)
        # A settlement that fails was told to every hook already, with the id and the ending.
        with suppress(StoreError):
            guard = await self._open()
            try:
                await guard.close(ticket, ending)
            except asyncio.CancelledError:
                # The loop is ending.  What was used is charged all the same; twice is once.
                await guard.close(ticket, ending)
                raise

    async def aside(self, work: Coroutine[Any, Any, None]) -> None:
        """Have work done in a task of its own, and wait a moment for it."""
        await asyncio.wait((self.begin(work),), timeout=PATIENCE_SECONDS)

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have work done in a task of its own, which `aclose` waits for."""
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(lambda done: self._working.discard(done))
        return task

    async def _open(self) -> AsyncGuard:
        """The guard, built at the first use where none was given."""
        async with self._building:
            if self._guard is None:
                try:
                    self._guard = await wiring.async_guard(self.terms.settings)
                except StoreError as error:
                    raise store_down(error) from error
                await asyncio.to_thread(wiring.warm)
                atexit.register(self.give_up)
            if self._keeper is None:
                self._keeper = AsyncKeeper(self._guard.renew, self._guard.desk.lease_ms)
        return self._guard

    async def _drive(self, request: Any) -> Any:
        flow = crossing(self.terms, request)
        try:
            step = next(flow)
            while True:
                try:
                    answer = await self._do(step)
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value

    async def _do(self, step: Step) -> Any:
        match step:
            case Read(request):
                return await request.aread()
            case Weigh(raw):
                return await (await self._open()).weigh(raw)
            case Open(raw):
                ticket = await (await self._open()).open(raw)
                assert self._keeper is not None
                self._keeper.watch(ticket)
                return ticket
            case Send(request):
                return await self._inner.handle_async_request(request)
            case Settle(ticket, ending):
                return await self.settle(ticket, ending)


class AsyncReading:
    """The reading of an answer, whoever does it: the client, or we after it left."""

    def __init__(self, gate: AsyncGate, response: Any, answer: Answer) -> None:
        self._gate = gate
        self._response = response
        self._answer = answer
        self._chunks = aiter(response.stream)
        self._left = False
        self._loop = asyncio.get_running_loop()

    async def next(self) -> bytes | None:
        """The next bytes for the client; None behind the last ones."""
        try:
            chunk = await anext(self._chunks, None)
        except BaseException as error:
            await self._end(f"the answer broke off ({type(error).__name__})")
            raise
        passed = (self._answer.finish() or None) if chunk is None else self._answer.feed(chunk)
        if chunk is None or self._answer.whole:
            await self._end()
        return passed

    async def leave(self) -> None:
        """Nobody reads on: read on for what the provider reports, as long as was agreed."""
        if self._left:
            return
        self._left = True
        if self._answer.over or not self._gate.terms.drain_seconds:
            await self._end(LEFT)
            return await self._response.aclose()  # type: ignore[no-any-return]
        await self._gate.aside(self._drain())

    def forget(self) -> None:
        """From wherever rubbish is collected: the loop it belongs to takes leave of it."""
        if not self._left and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._gate.begin(self.leave()))

    @property
    def ticket(self) -> Ticket:
        """The call it answers."""
        return self._answer.ticket

    def give_up(self) -> Ending | None:
        """The program ends, and nobody reads on: how the call ended, where nobody said so yet."""
        return self._answer.end(UNREAD)

    async def _drain(self) -> None:
        try:
            # The connection may be closed under it: then what was seen is what is charged.
            with suppress(self._gate.library.HTTPError, OSError, RuntimeError):
                async with asyncio.timeout(self._gate.terms.drain_seconds):
                    async for chunk in self._chunks:
                        self._answer.feed(chunk)
                self._answer.finish()
                await self._end(aside=False)
        finally:
            await self._end(LEFT, aside=False)
            await self._response.aclose()

    async def _end(self, cut: str = "", aside: bool = True) -> None:
        self._gate.readings.discard(self)
        ending = self._answer.end(cut)
        if ending is not None:
            settle = self._gate.settle if aside else self._gate.settle_here
            await settle(self._answer.ticket, ending)


class AsyncStream:
    """An answer's bytes, metered as they are read."""

    def __init__(self, reading: AsyncReading) -> None:
        self._reading = reading
        # SDKs' streams lie about in cycles.
        finalize(self, reading.forget).atexit = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (passed := await self._reading.next()) is not None:
            if passed:
                yield passed

    async def aclose(self) -> None:
        """The client closes the answer, read to its end or not."""
        await self._reading.leave()
