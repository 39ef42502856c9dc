"""One connection to a server for a whole event loop.

Commands of one tick of the loop go out in one write; replies come back in order and are handed to
their callers by one reading task.  A pool costs a connection, a lock and two wake-ups per command:
measured, 50 us of CPU per script call at 64 concurrent against 12 this way (tests/bench/ledger.py).

The connection is redis-py's own, so URLs, passwords, TLS and the handshake are redis-py's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError
from redis.retry import Retry

from weighbridge.ledger.address import Address, Node
from weighbridge.ledger.identity import WHO, identity
from weighbridge.ledger.lines import place_options
from weighbridge.ledger.travel import Ask

Reply = asyncio.Future[Any]
Untyped = Any
"""What redis-py gives no types for."""
GOODBYE = 1.0
"""Seconds the event loop has for closing a socket."""
Place = tuple[Node, bool]
CONNECTIONS: Mapping[str, Untyped] = {"tcp": Connection, "tls": SSLConnection, "unix": UnixDomainSocketConnection}


class Link:
    """A connected, shared connection.  It lives until it breaks: then every caller still waiting
    gets a ConnectionError, and `alive` is False for good."""

    def __init__(self, connection: AbstractConnection, server: str = "") -> None:
        self.server = server
        """The identity of the server at its other end (identity.py)."""
        self._connection = connection
        # redis-py forgets it where reading is broken off, and then TLS says goodbye to the end.
        self._writer: Untyped = getattr(connection, "_writer", None)
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

    def call(self, words: Iterable[Any], first: Iterable[Any] = ()) -> Reply:
        """The reply to come: an answer, the server's ResponseError, or a ConnectionError.  Whoever
        stops waiting leaves its place in the queue behind, and nobody else notices.  `first` is sent
        just before, and its reply looked at by nobody."""
        if not self.alive:
            raise ConnectionError("the connection broke")
        if first:
            self.call(first).cancel()
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
            await self._abort()

    async def _abort(self) -> None:
        """Gone at once: TLS would say goodbye first, for as long as the other end likes."""
        if self._writer is not None:
            self._writer.transport.abort()
        await self._connection.disconnect(nowait=True)
        if self._writer is not None:
            with suppress(OSError):
                async with asyncio.timeout(GOODBYE):
                    await self._writer.wait_closed()

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


class Links:
    """The links to every server of an address: made when first needed, and again when one breaks.
    `deadline` is how long connecting may take, in seconds."""

    def __init__(self, address: Address, deadline: float) -> None:
        self._address = address
        self._deadline = deadline
        self._links: dict[Place, Link] = {}
        self._linking: dict[Place, asyncio.Task[Link]] = {}

    def at(self, node: Node | None) -> Link | None:
        """The link to a server that keeps data, where one serves."""
        link = self._links.get((node, False)) if node is not None else None
        return link if link is not None and link.serves else None

    async def to(self, ask: Ask) -> Link:
        """A link that serves; made once for all who wait for it, and one who gives up does not stop it."""
        place = ask.node, ask.watcher
        link = self._links.get(place)
        if link is not None and link.serves:
            return link
        linking = self._linking.get(place)
        if linking is None or linking.get_loop() is not asyncio.get_running_loop():
            linking = self._linking[place] = asyncio.create_task(self._connect(ask))
            linking.add_done_callback(lambda done: self._linked(place, done))
        return await asyncio.shield(linking)

    def suspect(self, ask: Ask, seconds: float) -> None:
        """The server asked gave no answer for so long."""
        link = self._links.get((ask.node, ask.watcher))
        if link is not None:
            link.suspect(seconds)

    async def close(self) -> None:
        """Break all off."""
        linking = [task for task in self._linking.values() if task.get_loop() is asyncio.get_running_loop()]
        for task in linking:
            task.cancel()
        await asyncio.gather(*linking, return_exceptions=True)
        links, self._links = self._links, {}
        for link in links.values():
            await link.close()

    async def _connect(self, ask: Ask) -> Link:
        # The link waits as long as its callers do: the deadline is theirs.
        options = {"socket_timeout": None, "socket_connect_timeout": self._deadline, "retry": Retry(NoBackoff(), 0)}
        address = self._address
        connection = CONNECTIONS[address.wire](**place_options(address, ask), **options, protocol=2)
        try:
            async with asyncio.timeout(self._deadline):
                await connection.connect()
                server = await _server(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        link = self._links[ask.node, ask.watcher] = Link(connection, server)
        return link

    def _linked(self, place: Place, done: asyncio.Task[Link]) -> None:
        if self._linking.get(place) is done:
            del self._linking[place]
        if not done.cancelled():
            # Marks a failure as seen, where everybody who waited has gone.
            done.exception()


async def _server(connection: Untyped) -> str:
    try:
        await connection.send_command(*WHO)
        return identity(await connection.read_response())
    except ResponseError:
        return ""
