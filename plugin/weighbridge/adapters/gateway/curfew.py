"""A signal to stop is held back from the server until the open calls have ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Curfew:
    """Stands between a server and the signals that stop it.

    The server would close its socket at once, so that new callers met a closed door and not an answer
    they can act on.  `finish` is awaited first.  The same signal again goes to the server directly."""

    def __init__(self, finish: Callable[[], Awaitable[None]]) -> None:
        self.begun = False
        """Nobody new is let in."""
        self._finish = finish
        self._server: dict[int, Callable[[int, FrameType | None], object]] = {}
        self._heard: set[int] = set()
        self._ending: asyncio.Future[None] | None = None

    def listen(self) -> None:
        """Take the signals over from the server, in its main thread, once it has claimed them."""
        self._loop = asyncio.get_running_loop()
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._server[number] = handler
                signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if number in self._heard:
            self._server[number](number, frame)
        elif not self._heard:
            self._loop.call_soon_threadsafe(self._begin, number)
        self._heard.add(number)

    def _begin(self, number: int) -> None:
        self.begun = True
        self._ending = asyncio.ensure_future(self._end(number))

    async def _end(self, number: int) -> None:
        try:
            await self._finish()
        finally:
            self._server[number](number, None)
