"""The least an HTTP/1.1 client can be: an asyncio Protocol over httptools, and a list of idle connections.

Only here to show what the clients in `forwarders.py` cost above it: no TLS, no timeouts, no retries.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final, cast

import httptools

HIGH_WATER: Final = 256 * 1024


class Connection(asyncio.Protocol):
    """A connection to the upstream; carries one exchange at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiter: asyncio.Future[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.status = 0
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._complete = False
        self._lost: Exception | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = exc or ConnectionResetError("the upstream closed the connection")
        self._pool.forget(self)
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER and not self._paused:
            self._paused = True
            self._out.pause_reading()

    def on_message_complete(self) -> None:
        self._complete = True

    async def send(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer."""
        self._reset()
        self._out.write(head + body)
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        """The next bytes of the answer; b"" at its end."""
        while not self._chunks:
            if self._complete:
                return b""
            await self._more()
        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        if self._paused and self._buffered < HIGH_WATER // 2:
            self._paused = False
            self._out.resume_reading()
        return chunk

    async def _more(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Pool:
    """Connections to one upstream."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[Connection] = []

    async def request(self, path: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Connection:
        """POST, and wait for the answer's head; give the connection back when the answer is read."""
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        head = b"POST %b HTTP/1.1\r\nhost: %b\r\n%bcontent-length: %d\r\n\r\n" % (
            path.encode(),
            self._host.encode(),
            lines,
            len(body),
        )
        connection = self._idle.pop() if self._idle else await self._connect()
        await connection.send(head, body)
        return connection

    def give_back(self, connection: Connection) -> None:
        """The answer was read to its end."""
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        if connection in self._idle:
            self._idle.remove(connection)

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(self), self._host, self._port)
        return connection
