"""Keeps the leases of running calls alive, so that a long answer does not lose its hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from threading import Condition, Thread
from typing import Final

from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError

RENEWALS_PER_LEASE: Final = 3


class Keeper:
    """For programs without an event loop: a thread, while calls are open."""

    def __init__(self, renew: Callable[[Ticket], bool], lease_ms: int) -> None:
        self._renew = renew
        self._pause = lease_ms / 1000 / RENEWALS_PER_LEASE
        self._open: dict[str, Ticket] = {}
        self._changed = Condition()
        self._running = False

    def watch(self, ticket: Ticket) -> None:
        """Renew this call's lease until it is let go."""
        if not ticket.holds:
            return
        with self._changed:
            self._open[ticket.id] = ticket
            begin, self._running = not self._running, True
        if begin:
            Thread(target=self._keep, name="weighbridge-leases", daemon=True).start()

    def let_go(self, ticket: Ticket) -> None:
        """The call has ended."""
        with self._changed:
            if self._open.pop(ticket.id, None) and not self._open:
                self._changed.notify()

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._pause)
                due = list(self._open.values())
                self._running = bool(due)
            if not due:
                return
            for ticket in due:
                self._lengthen(ticket)

    def _lengthen(self, ticket: Ticket) -> None:
        try:
            self._renew(ticket)
        except StoreError:
            # A lease that ends is not a loss: a late settlement still charges.
            return


class AsyncKeeper:
    """For event loops: a task, while calls are open."""

    def __init__(self, renew: Callable[[Ticket], Awaitable[bool]], lease_ms: int) -> None:
        self._renew = renew
        self._pause = lease_ms / 1000 / RENEWALS_PER_LEASE
        self._open: dict[str, Ticket] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, ticket: Ticket) -> None:
        """Renew this call's lease until it is let go."""
        if not ticket.holds:
            return
        self._open[ticket.id] = ticket
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._keep())

    def let_go(self, ticket: Ticket) -> None:
        """The call has ended."""
        self._open.pop(ticket.id, None)
        if not self._open and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            for ticket in list(self._open.values()):
                if ticket.id in self._open:
                    await self._lengthen(ticket)

    async def _lengthen(self, ticket: Ticket) -> None:
        try:
            await self._renew(ticket)
        except StoreError:
            # A lease that ends is not a loss: a late settlement still charges.
            return
