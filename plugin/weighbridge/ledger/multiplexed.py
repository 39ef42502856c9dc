"""One connection to a server for a whole event loop.

Commands of one tick of the loop go out in one write; replies come back in order and reach their
callers with the bytes, no task in between.  A pool costs a connection, a lock and two wake-ups per
command, a reading task one more (tests/bench/ledger.py).

Connecting is redis-py's, so URLs, passwords, TLS and the handshake are; what comes after is read here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hiredis import ProtocolError, Reader, pack_command
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.connection import DefaultParser
from redis.exceptions import AuthenticationError, BusyLoadingError, ResponseError
from redis.exceptions import ConnectionError as Lost
from redis.retry import Retry

from weighbridge.ledger.address import Address, Node
from weighbridge.ledger.identity import WHO, identity
from weighbridge.ledger.lines import place_options
from weighbridge.ledger.travel import Ask

Reply = asyncio.Future[Any]
Untyped = Any
"""What redis-py and hiredis give no types for."""
GOODBYE: Final = 1.0
"""Seconds the event loop has for closing a socket."""
Place = tuple[Node, bool]
CONNECTIONS: Mapping[str, Untyped] = {"tcp": Connection, "tls": SSLConnection, "unix": UnixDomainSocketConnection}
UNFINISHED: Final = object()
ANSWERS: Final = (ResponseError, BusyLoadingError, AuthenticationError)
"""Errors that answer one command; any other is the end of the connection."""
_parsed: Untyped = DefaultParser


class Link(asyncio.Protocol):
    """A connected, shared connection.  It lives until it breaks: then every caller still waiting
    gets a ConnectionError, and `alive` is False for good."""

    def __init__(self, connection: Untyped, server: str = "") -> None:
        self.server = server
        """The identity of the server at its other end (identity.py)."""
        self._connection = connection
        self._transport: Untyped = self._connection._writer.transport
        self._reader = Reader(replyError=_parsed.parse_error, notEnoughData=UNFINISHED)
        self._waiting: deque[tuple[float, Reply]] = deque()
        """Until when, and for what; in the order asked."""
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self._alarm: asyncio.TimerHandle | None = None
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._living = self._loop.create_task(self._live())
        self._transport.set_protocol(self)
        self.alive = True

    @property
    def serves(self) -> bool:
        """Whether it can be used, and from the event loop that is running now."""
        return self.alive and self._loop is asyncio.get_running_loop()

    def call(self, words: Iterable[Any], until: float, first: Iterable[Any] = ()) -> Reply:
        """The reply to come: an answer, the server's ResponseError, a ConnectionError, or a TimeoutError at
        `until` by the loop's clock.  Whoever stops waiting leaves its place in the queue behind, and
        nobody else notices.  `first` is sent just before, and its reply looked at by nobody."""
        if not self.alive:
            raise ConnectionError("the connection broke")
        if first:
            self.call(first, until).cancel()
        reply: Reply = self._loop.create_future()
        self._unsent.append(pack_command(tuple(words)))
        self._waiting.append((until, reply))
        if len(self._waiting) == 1:
            self._write()  # nobody else is on the way
        elif len(self._unsent) == 1:
            self._loop.call_soon(self._write)
        if self._alarm is None or until < self._alarm.when():
            self._ring(until)
        return reply

    def suspect(self, seconds: float) -> None:
        """A call got no answer for so long: if nobody did, the server hangs; give the link up."""
        if self._loop.time() - self._heard_at >= seconds:
            self._break("the server hangs")

    async def close(self) -> None:
        """Break off; whoever waits gets a ConnectionError."""
        self._break("the store was closed")
        await asyncio.gather(self._living, return_exceptions=True)

    def data_received(self, data: bytes) -> None:
        """Hand replies to whom they are for."""
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        try:
            while self.alive and (answer := self._reader.gets()) is not UNFINISHED:
                self._answer(answer)
        except (ProtocolError, IndexError) as error:
            self._break(f"the server says what nobody asked: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """The other end closed it, or this one did."""
        self._gone.cancel()
        self._break(str(error or "the connection was closed"))

    def _write(self) -> None:
        batch, self._unsent = self._unsent, []
        if batch and self.alive:
            self._transport.write(b"".join(batch))

    def _answer(self, answer: Any) -> None:
        if isinstance(answer, Lost) and not isinstance(answer, ANSWERS):
            return self._break(str(answer))
        _, reply = self._waiting.popleft()
        if reply.done():
            return
        if isinstance(answer, Exception):
            reply.set_exception(answer)
        else:
            reply.set_result(answer)

    def _ring(self, at: float) -> None:
        """One timer for all who wait: a timer each costs as much as a reply."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._loop.call_at(at, self._late)

    def _late(self) -> None:
        self._alarm, now = None, self._loop.time()
        for until, reply in self._waiting:
            if until <= now and not reply.done():
                reply.set_exception(TimeoutError())
        still = [until for until, reply in self._waiting if not reply.done()]
        if still:
            self._ring(min(still))

    async def _live(self) -> None:
        """Until it breaks, or the event loop ends and cancels its tasks."""
        try:
            await self._broken
        finally:
            self._break("the event loop ended")
            await self._abort()

    async def _abort(self) -> None:
        """Gone at once: TLS would say goodbye first, for as long as the other end likes."""
        self._transport.abort()
        await self._connection.disconnect(nowait=True)
        await asyncio.wait([self._gone], timeout=GOODBYE)

    def _break(self, why: str) -> None:
        self.alive = False
        self._broken.cancel()
        if self._alarm is not None:
            self._alarm.cancel()
        while self._waiting:
            _, reply = self._waiting.popleft()
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
