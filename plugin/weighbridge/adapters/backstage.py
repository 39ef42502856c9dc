"""What goes on behind the client's back: holds are extended, endings settled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.ledger import Extend
from weighbridge.core.model import Ending
from weighbridge.core.outbound import Outbound
from weighbridge.guard import AsyncGuard


class Backstage:
    """The tasks of one event loop that no answer waits for."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def extend(self, guard: AsyncGuard, out: Outbound, more: Extend) -> None:
        """Ask for more while the stream goes on."""
        self._spawn(_extend(guard, out, more))

    def close(self, guard: AsyncGuard, ticket: Ticket, ending: Ending) -> None:
        """Settle: the answer is out, nobody waits for this."""
        guard.keeper.let_go(ticket)
        self._spawn(_settle(guard, ticket, ending))

    async def drain(self) -> None:
        """Wait until everything that has ended is settled."""
        while self._tasks:
            # Taken out here, not by their callbacks: waiting for what is done does not let those run.
            ending, self._tasks = self._tasks, set()
            await asyncio.gather(*ending, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._tasks.discard(done))


async def _settle(guard: AsyncGuard, ticket: Ticket, ending: Ending) -> None:
    try:
        await guard.close(ticket, ending)
    except StoreError:
        # Told to every hook as `Unsettled` already, with the id and the ending.
        return


async def _extend(guard: AsyncGuard, out: Outbound, more: Extend) -> None:
    out.answered(await guard.extend(more))
