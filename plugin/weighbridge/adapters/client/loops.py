"""Drives crossings in an event loop."""

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from weighbridge import wiring
from weighbridge.adapters.client.crossing import (
    PATIENCE_SECONDS,
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
from weighbridge.adapters.client.reading import AsyncReading, AsyncStream
from weighbridge.adapters.client.terms import Terms
from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.ledger import Extend
from weighbridge.core.model import Ending
from weighbridge.guard import AsyncGuard
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
        self._building = asyncio.Lock()
        self._process = os.getpid()
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
        if self._process != os.getpid():
            # It was forked: its parent reads on.
            return
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
        # A settlement that fails was told to every hook already, with the id and the ending.
        with suppress(StoreError):
            guard = await self._open()
            guard.keeper.let_go(ticket)
            try:
                await guard.close(ticket, ending)
            except asyncio.CancelledError:
                # The loop is ending.  What was used is charged all the same; twice is once.
                await guard.close(ticket, ending)
                raise

    async def extend(self, answer: Answer, more: Extend) -> None:
        """Ask for more beside the stream."""
        answer.answered(await (await self._open()).extend(more))

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
                guard = await self._open()
                ticket = await guard.open(raw)
                guard.keeper.watch(ticket)
                return ticket
            case Send(request):
                return await self._inner.handle_async_request(request)
            case Settle(ticket, ending):
                return await self.settle(ticket, ending)
