"""Keeps the leases of running calls alive, so that a long answer does not lose its hold."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Final

from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError

RENEWALS_PER_LEASE: Final = 3
LINGER_SECONDS: Final = 1.0


class Keeper:
    """For programs without an event loop: a thread, while calls are open."""

    def __init__(self, renew: Callable[[Ticket], bool], lease_ms: int) -> None:
        self._renew = renew
        self._pause = lease_ms / 1000 / RENEWALS_PER_LEASE
        self._begin()

    def _begin(self) -> None:
        """A process that was forked has no thread of its parent's, and keeps none of its parent's leases."""
        self._process = os.getpid()
        self._open: dict[str, Ticket] = {}
        self._lock = Lock()
        self._running = False

    def watch(self, ticket: Ticket) -> None:
        """Renew this call's lease until it is let go."""
        if not ticket.holds:
            return
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            self._open[ticket.id] = ticket
            begin, self._running = not self._running, True
        if begin:
            Thread(target=self._keep, name="weighbridge-leases", daemon=True).start()

    def let_go(self, ticket: Ticket) -> None:
        """The call has ended."""
        with self._lock:
            self._open.pop(ticket.id, None)

    def _keep(self) -> None:
        renewed = time.monotonic()
        while True:
            # It stays for a while, since calls come one after the other and threads are dear.
            time.sleep(min(self._pause, LINGER_SECONDS))
            with self._lock:
                due = list(self._open.values())
                self._running = bool(due)
            if not due:
                return
            if time.monotonic() - renewed >= self._pause:
                self._lengthen(due)
                renewed = time.monotonic()

    def _lengthen(self, due: list[Ticket]) -> None:
        for ticket in due:
            # A lease that ends is not a loss: a late settlement still charges.
            with suppress(StoreError):
                self._renew(ticket)


class AsyncKeeper:
    """For event loops: a timer, while calls are open."""

    def __init__(self, renew: Callable[[Ticket], Awaitable[bool]], lease_ms: int) -> None:
        self._renew = renew
        self._pause = lease_ms / 1000 / RENEWALS_PER_LEASE
        self._open: dict[str, Ticket] = {}
        # Not cancelled with the last call and set again with the next: cancelled timers pile up in the loop.
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._round: asyncio.Task[None] | None = None

    def watch(self, ticket: Ticket) -> None:
        """Renew this call's lease until it is let go."""
        if not ticket.holds:
            return
        self._open[ticket.id] = ticket
        loop = asyncio.get_running_loop()
        # A program may end one loop and begin another, and the timer went with the first.
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self._pause, self._due)

    def let_go(self, ticket: Ticket) -> None:
        """The call has ended."""
        self._open.pop(ticket.id, None)

    def _due(self) -> None:
        self._timer = None
        if self._open:
            self._round = asyncio.ensure_future(self._lengthen())
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._due)

    async def _lengthen(self) -> None:
        for ticket in list(self._open.values()):
            # A lease that ends is not a loss: a late settlement still charges.
            with suppress(StoreError):
                if ticket.id in self._open:
                    await self._renew(ticket)
