"""The ledger on Redis or Valkey: encode, call, decode.

A verb is one round trip.  Every call has a deadline, connecting included.  Where the connection
breaks, the call is made once more with the same id inside that deadline: a repeated reserve,
settle or renewal changes nothing, and a repeated `Put` writes the same documents.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, TypeVar, cast

from redis import ConnectionPool
from redis.asyncio import ConnectionPool as AsyncConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError
from redis.retry import Retry

from weighbridge.core.ledger import Verb
from weighbridge.ledger.faults import LOST, fault, place_of
from weighbridge.ledger.multiplexed import Link
from weighbridge.ledger.scripts import SCRIPTS
from weighbridge.ledger.upkeep import Upkeep
from weighbridge.ledger.wire import Command, Wire, Word

T = TypeVar("T")
Untyped = Any
"""A connection of redis-py, whose methods have no types."""
DEADLINE = 2.0
"""Seconds a call may take before the store counts as unavailable."""


def words(command: Command, *, source: bool = False) -> tuple[Word, ...]:
    """A command as sent; `source` sends the script itself to a server that does not know it."""
    if not command.script:
        return command.args
    script = SCRIPTS[command.script]
    name, body = ("EVAL", script.source) if source else ("EVALSHA", script.sha)
    return (name, body, len(command.keys), *command.keys, *command.args)


class RedisStore:
    """For threads: a connection of redis-py's pool per call.  `url` is redis://, rediss:// or
    unix://, with redis-py's options; `deadline` in seconds."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        prefix: str = "weighbridge",
        upkeep: Upkeep | None = None,
    ) -> None:
        self._wire = Wire(prefix, upkeep)
        self._place = place_of(url)
        self._deadline = deadline
        self._pool = ConnectionPool.from_url(url, **self._options(deadline), protocol=2)

    @staticmethod
    def _options(seconds: float) -> dict[str, Any]:
        return {
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
        }

    def run(self, verb: Verb[T]) -> T:
        """See `Store.run`."""
        command = self._wire.encode(verb)
        try:
            reply = self._ask(command)
        except (RedisError, OSError) as error:
            raise fault(error, self._place, command.keys[0]) from error
        return cast(T, self._wire.decode(verb, command, reply))

    def close(self) -> None:
        """See `Store.close`."""
        self._pool.disconnect()

    def _ask(self, command: Command) -> Any:
        until = monotonic() + self._deadline
        try:
            connection = self._pool.get_connection()
            try:
                return self._exchange(connection, command)
            finally:
                self._pool.release(connection)
        except LOST:
            left = until - monotonic()
            if left <= 0:
                raise
            return self._ask_afresh(command, left)

    def _ask_afresh(self, command: Command, left: float) -> Any:
        """Once more, on a connection of its own with the time that is left."""
        options = {**self._pool.connection_kwargs, **self._options(left)}
        connection: Untyped = self._pool.connection_class(**options)
        try:
            return self._exchange(connection, command)
        finally:
            connection.disconnect()

    @staticmethod
    def _exchange(connection: Untyped, command: Command) -> Any:
        try:
            connection.send_command(*words(command))
            return connection.read_response()
        except NoScriptError:
            connection.send_command(*words(command, source=True))
            return connection.read_response()
        except ResponseError:
            raise
        except BaseException:
            # Whatever is still on its way must not answer the next call.
            connection.disconnect()
            raise


class AsyncRedisStore:
    """For an event loop: all callers share one connection, made when first needed and again when
    it breaks.  Arguments as for RedisStore."""

    def __init__(
        self,
        url: str,
        *,
        deadline: float = DEADLINE,
        prefix: str = "weighbridge",
        upkeep: Upkeep | None = None,
    ) -> None:
        self._wire = Wire(prefix, upkeep)
        self._place = place_of(url)
        self._deadline = deadline
        # The link waits as long as its callers do: the deadline is theirs.
        options = {"socket_timeout": None, "socket_connect_timeout": deadline, "retry": Retry(NoBackoff(), 0)}
        self._pool = AsyncConnectionPool.from_url(url, **options, protocol=2)
        self._link: Link | None = None
        self._linking: asyncio.Task[Link] | None = None

    async def run(self, verb: Verb[T]) -> T:
        """See `AsyncStore.run`."""
        command = self._wire.encode(verb)
        try:
            async with asyncio.timeout(self._deadline):
                reply = await self._ask(command)
        except TimeoutError as error:
            if self._link is not None:
                self._link.suspect(self._deadline)
            raise fault(error, self._place, command.keys[0]) from error
        except (RedisError, OSError) as error:
            raise fault(error, self._place, command.keys[0]) from error
        return cast(T, self._wire.decode(verb, command, reply))

    async def close(self) -> None:
        """See `AsyncStore.close`."""
        if self._linking is not None:
            self._linking.cancel()
        if self._link is not None:
            await self._link.close()

    async def _ask(self, command: Command) -> Any:
        try:
            return await self._exchange(command)
        except LOST:
            return await self._exchange(command)

    async def _exchange(self, command: Command) -> Any:
        link = self._link
        if link is None or not link.serves:
            link = await self._connected()
        try:
            return await link.call(words(command))
        except NoScriptError:
            return await link.call(words(command, source=True))

    async def _connected(self) -> Link:
        """A new link, made once for all who wait for it; one who gives up does not stop it."""
        if self._linking is None or self._linking.get_loop() is not asyncio.get_running_loop():
            self._linking = asyncio.create_task(self._connect())
            self._linking.add_done_callback(self._linked)
        return await asyncio.shield(self._linking)

    async def _connect(self) -> Link:
        connection = cast(Untyped, self._pool).make_connection()
        try:
            async with asyncio.timeout(self._deadline):
                await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._link = Link(connection)
        return self._link

    def _linked(self, done: asyncio.Task[Link]) -> None:
        self._linking = None
        if not done.cancelled():
            # Marks a failure as seen, where everybody who waited has gone.
            done.exception()
