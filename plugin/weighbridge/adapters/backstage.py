"""What goes on behind the client's back: holds are extended, endings settled, debts paid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.extension import Coverage
from weighbridge.core.ledger import Extend
from weighbridge.core.model import Ending
from weighbridge.core.outbound import Outbound
from weighbridge.guard import AsyncGuard

PAY_SECONDS: Final = 1.0
"""How often to look for settlements that are owed, or were left by a process that is gone."""
LOOK_SECONDS: Final = 0.02
CUT_SECONDS: Final = 5.0
"""Longest wait for calls that were cut off."""


class Backstage:
    """The tasks of one event loop that no answer waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._payer: asyncio.Task[None] | None = None
        self._cuts: dict[str, Callable[[str], object]] = {}

    def start(self, guard: AsyncGuard) -> None:
        """Pay what is owed, from now on."""
        self._payer = asyncio.ensure_future(_pay(guard))

    def watch(self, guard: AsyncGuard, ticket: Ticket, cut: Callable[[str], object]) -> None:
        """Keep a running call's lease alive until it is closed.  `cut` ends the call, saying why."""
        self._cuts[ticket.id] = cut
        guard.keeper.watch(ticket)

    def extend(self, guard: AsyncGuard, out: Outbound | Coverage, more: Extend) -> None:
        """Ask for more while the stream goes on."""
        self._spawn(_extend(guard, out, more))

    def close(self, guard: AsyncGuard, ticket: Ticket, ending: Ending) -> None:
        """Settle: the answer is out, nobody waits for this."""
        guard.keeper.let_go(ticket)
        self._cuts.pop(ticket.id, None)
        self._spawn(_settle(guard, ticket, ending))

    async def finish(self, seconds: float, why: str) -> None:
        """Wait for the running calls to end; those that have not by then are cut off."""
        await self._all_ended(seconds)
        for cut in list(self._cuts.values()):
            cut(why)
        await self._all_ended(CUT_SECONDS)

    async def _all_ended(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._cuts:
                    await asyncio.sleep(LOOK_SECONDS)

    async def drain(self) -> None:
        """Wait until everything that has ended is settled."""
        if self._payer is not None:
            self._payer.cancel()
        while self._tasks:
            # Taken out here, not by their callbacks: waiting for what is done does not let those run.
            ending, self._tasks = self._tasks, set()
            await asyncio.gather(*ending, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._tasks.discard(done))


async def _pay(guard: AsyncGuard) -> None:
    while True:
        while await guard.repay():
            # All of a long outage's settlements at once would keep the calls waiting.
            await asyncio.sleep(0)
        await asyncio.sleep(PAY_SECONDS)


async def _settle(guard: AsyncGuard, ticket: Ticket, ending: Ending) -> None:
    try:
        await guard.close(ticket, ending)
    except StoreError:
        # Told to every hook as `Unsettled` already, with the id and the ending.
        return


async def _extend(guard: AsyncGuard, out: Outbound | Coverage, more: Extend) -> None:
    out.answered(await guard.extend(more))
