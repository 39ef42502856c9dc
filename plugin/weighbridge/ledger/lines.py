"""Connections for threads: each serves one call at a time, and a call has one deadline.

A socket's own timeout starts anew with every chunk, so a server that drips its answer would be
waited for without end: here each wait is given only what is left of the call.

The connections are redis-py's own, so passwords, TLS and the handshake are redis-py's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from time import monotonic
from typing import Any, cast

from redis.backoff import NoBackoff
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from weighbridge.ledger.address import Address, Node
from weighbridge.ledger.identity import WHO, identity
from weighbridge.ledger.travel import Ask

Untyped = Any
"""What redis-py gives no types for."""


class Clocked:
    """A socket whose every wait ends at its connection's `until`."""

    def __init__(self, socket: Untyped, connection: Untyped) -> None:
        self._socket = socket
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recv(self, *args: Any) -> bytes:
        return cast(bytes, self._in_time().recv(*args))

    def recv_into(self, *args: Any) -> int:
        return cast(int, self._in_time().recv_into(*args))

    def sendall(self, data: Any) -> None:
        self._in_time().sendall(data)

    def _in_time(self) -> Untyped:
        self._socket.settimeout(left(self._connection.until))
        return self._socket


def left(until: float) -> float:
    """Seconds until then.  Raises TimeoutError where it is past."""
    seconds = until - monotonic()
    if seconds <= 0:
        raise RedisTimeoutError("no time is left")
    return seconds


def _clocked(base: Untyped) -> Untyped:
    """A connection of redis-py's with a Clocked socket, connecting included."""

    class ClockedConnection(base):  # type: ignore[misc]
        until = 0.0

        def _connect(self) -> Any:
            self.socket_connect_timeout = self.socket_timeout = left(self.until)
            return Clocked(super()._connect(), self)

    return ClockedConnection


CONNECTIONS: Mapping[str, Untyped] = {
    "tcp": _clocked(Connection),
    "tls": _clocked(SSLConnection),
    "unix": _clocked(UnixDomainSocketConnection),
}


class Line:
    """A connection and the server at its other end."""

    def __init__(self, connection: Untyped, until: float) -> None:
        self._connection = connection
        connection.until = until
        connection.connect()
        self.server = self._server(until)
        """The server's identity (identity.py); "" where it does not tell."""

    def call(self, ask: Ask, until: float) -> Any:
        """The reply.  After any error but the server's own the line is of no use any more."""
        self._connection.until = until
        if ask.first:
            self._said(ask.first)
        return self._said(ask.words)

    def close(self) -> None:
        self._connection.disconnect()

    def _said(self, words: tuple[Any, ...]) -> Any:
        self._connection.send_command(*words)
        return self._connection.read_response()

    def _server(self, until: float) -> str:
        try:
            return identity(self.call(Ask(("", 0), WHO), until))
        except ResponseError:
            return ""


class Lines:
    """The idle lines to every server of an address.  Threads share it; a forked process starts with
    none, as the parent goes on using its own."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._idle: dict[tuple[Node, bool], list[Line]] = {}
        self._process = os.getpid()

    def take(self, ask: Ask, until: float) -> Line:
        """A line to the server asked, connected where none is idle."""
        idle = self._lines(ask)
        try:
            return idle.pop()
        except IndexError:
            return Line(self._connection(ask), until)

    def give(self, ask: Ask, line: Line) -> None:
        """Back, for the next call."""
        self._lines(ask).append(line)

    def drop(self, ask: Ask, line: Line) -> None:
        """It broke: so did, likely, those that were idle meanwhile."""
        idle = self._lines(ask)
        for other in (line, *idle[:]):
            other.close()
        idle.clear()

    def close(self) -> None:
        """Let go of all."""
        idle, self._idle = self._idle, {}
        for lines in idle.values():
            for line in lines:
                line.close()

    def _lines(self, ask: Ask) -> list[Line]:
        if self._process != os.getpid():
            self._idle, self._process = {}, os.getpid()
        return self._idle.setdefault((ask.node, ask.watcher), [])

    def _connection(self, ask: Ask) -> Untyped:
        address = self._address
        return CONNECTIONS[address.wire](**place_options(address, ask), protocol=2, retry=Retry(NoBackoff(), 0))


def place_options(address: Address, ask: Ask) -> dict[str, Any]:
    """redis-py's options for a connection to the server asked."""
    host, port = ask.node
    place = {"path": host} if address.wire == "unix" else {"host": host, "port": port}
    return {**(address.watcher if ask.watcher else address.options), **place}
