"""One connection for a whole event loop.

Commands of one tick of the loop go out in one write; replies come back in order and are handed to
their callers by one reading task.  A pool costs a connection, a lock and two wake-ups per command:
measured, 50 us of CPU per script call at 64 concurrent against 12 this way (tests/bench/ledger.py).

The connection is redis-py's own, so URLs, passwords, TLS and the handshake are redis-py's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

Reply = asyncio.Future[Any]


class Link:
    """A connected, shared connection.  It lives until it breaks: then every caller still waiting
    gets a ConnectionError, and `alive` is False for good."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._waiting: deque[Reply] = deque()
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._writing: asyncio.Task[None] | None = None
        self._reading = self._loop.create_task(self._read())
        self.alive = True

    @property
    def serves(self) -> bool:
        """Whether it can be used, and from the event loop that is running now."""
        return self.alive and self._loop is asyncio.get_running_loop()

    def call(self, words: Iterable[Any]) -> Reply:
        """The reply to come: an answer, the server's ResponseError, or a ConnectionError.  Whoever
        stops waiting leaves its place in the queue behind, and nobody else notices."""
        if not self.alive:
            raise ConnectionError("the connection broke")
        reply: Reply = self._loop.create_future()
        self._waiting.append(reply)
        self._unsent.append(pack_command(tuple(words)))
        if self._writing is None:
            self._writing = self._loop.create_task(self._write())
        return reply

    def suspect(self, seconds: float) -> None:
        """A call got no answer for so long: if nobody did, the server hangs; give the link up."""
        if self._loop.time() - self._heard_at >= seconds:
            self._break("the server hangs")

    async def close(self) -> None:
        """Break off; whoever waits gets a ConnectionError."""
        self._break("the store was closed")
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while self._unsent:
                batch, self._unsent = self._unsent, []
                await self._connection.send_packed_command(batch, check_health=False)
        except (RedisError, OSError) as error:
            self._break(str(error))
        finally:
            self._writing = None

    async def _read(self) -> None:
        try:
            while True:
                answer, error = await self._next()
                self._heard_at = self._loop.time()
                reply = self._waiting.popleft()
                if reply.done():
                    continue
                if error is None:
                    reply.set_result(answer)
                else:
                    reply.set_exception(error)
        except (RedisError, OSError, IndexError) as error:
            self._break(str(error))
        finally:
            await self._connection.disconnect(nowait=True)

    async def _next(self) -> tuple[Any, Exception | None]:
        try:
            return await self._connection.read_response(), None
        except (ResponseError, BusyLoadingError, AuthenticationError) as error:
            return None, error

    def _break(self, why: str) -> None:
        self.alive = False
        self._reading.cancel()
        if self._writing is not None:
            self._writing.cancel()
        while self._waiting:
            reply = self._waiting.popleft()
            if not reply.done():
                reply.set_exception(ConnectionError(why))
