"""What goes on behind the client's back: leases are renewed, holds extended, endings settled, debts paid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.extension import Coverage
from weighbridge.core.ledger import Ended, Extend, Granted, Short
from weighbridge.core.model import Ending
from weighbridge.guard import AsyncGuard

RENEWALS_PER_LEASE: Final = 3
PAY_SECONDS: Final = 1.0
"""How often to look for settlements that are owed, or were left by a process that is gone."""
LOOK_SECONDS: Final = 0.02
CUT_SECONDS: Final = 5.0
"""Longest wait for calls that were cut off."""


class Backstage:
    """The tasks of one event loop that no answer waits for."""

    def __init__(self) -> None:
        self._open: dict[str, Ticket] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._payer: asyncio.Task[None] | None = None
        self._cuts: dict[str, Callable[[str], object]] = {}

    def start(self, guard: AsyncGuard) -> None:
        """Pay what is owed, from now on."""
        self._payer = asyncio.ensure_future(_pay(guard))

    def watch(self, guard: AsyncGuard, ticket: Ticket, cut: Callable[[str], object]) -> None:
        """Keep a running call's lease alive until it is closed.  `cut` ends the call, saying why."""
        self._cuts[ticket.id] = cut
        if ticket.holds:
            self._open[ticket.id] = ticket
            if self._keeper is None or self._keeper.done():
                self._keeper = asyncio.ensure_future(self._keep(guard))

    def extend(self, guard: AsyncGuard, coverage: Coverage, verb: Extend) -> None:
        """Ask for more while the stream goes on."""
        self._spawn(_extend(guard, coverage, verb))

    def close(self, guard: AsyncGuard, ticket: Ticket, ending: Ending) -> None:
        """Settle: the answer is out, nobody waits for this."""
        self._open.pop(ticket.id, None)
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
        for task in (self._keeper, self._payer):
            if task is not None:
                task.cancel()
        while self._tasks:
            # Taken out here, not by their callbacks: waiting for what is done does not let those run.
            ending, self._tasks = self._tasks, set()
            await asyncio.gather(*ending, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._tasks.discard(done))

    async def _keep(self, guard: AsyncGuard) -> None:
        while self._open:
            due = list(self._open.values())
            await asyncio.sleep(guard.desk.lease_ms / 1000 / RENEWALS_PER_LEASE)
            for ticket in due:
                if ticket.id in self._open:
                    await _renew(guard, ticket)


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


async def _extend(guard: AsyncGuard, coverage: Coverage, verb: Extend) -> None:
    answer: Granted | Short | Ended | None = None
    try:
        answer = await guard.extend(coverage.ticket, verb.units)
    except StoreError:
        # The stream goes on as far as it is covered, and asks again.
        return
    finally:
        coverage.answered(answer)


async def _renew(guard: AsyncGuard, ticket: Ticket) -> None:
    try:
        await guard.renew(ticket)
    except StoreError:
        # A lease that ends is not a loss: a late settlement still charges.
        return
