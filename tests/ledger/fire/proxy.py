"""A TCP front of a server that does to a connection what networks do, at random."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from random import Random

ODDS = {"lost": 0.006, "torn": 0.002, "late": 0.003, "cut": 0.002, "silent": 0.001}
"""Chance, for each packet, that a reply is lost after the command was applied (the connection
breaks), breaks off in the middle, comes late; that the command itself is never sent; that the
connection goes silent in both directions."""
LATE = 0.8
"""Seconds, at most."""


class FaultProxy:
    """Runs in a thread with a loop of its own until closed."""

    def __init__(self, target: Path, seed: int) -> None:
        self.calm = False
        self.done: Tally[str] = Tally()
        self._target = str(target)
        self._dice = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _fault(self, *kinds: str) -> str:
        roll = self._dice.random()
        for kind in () if self.calm else kinds:
            roll -= ODDS[kind]
            if roll < 0:
                self.done[kind] += 1
                return kind
        return ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        pumps = [
            asyncio.create_task(_pump(reader, upstream_writer, self._command)),
            asyncio.create_task(_pump(upstream_reader, writer, self._reply)),
        ]
        # Cancelled when the proxy is closed: not an error then.
        with suppress(asyncio.CancelledError):
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, upstream_writer):
            end.close()
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _command(self, chunk: bytes) -> bytes | None:
        return None if self._fault("cut") else chunk

    async def _reply(self, chunk: bytes) -> bytes | None:
        match self._fault("lost", "torn", "late", "silent"):
            case "lost":
                return None
            case "torn":
                return chunk[: len(chunk) // 2]
            case "late":
                await asyncio.sleep(self._dice.random() * LATE)
            case "silent":
                await asyncio.sleep(3600)
        return chunk


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fate: Callable[[bytes], Awaitable[bytes | None]]
) -> None:
    """Pass chunks on until one is None or shorter than it was."""
    with suppress(OSError):
        while chunk := await reader.read(65536):
            passed = await fate(chunk)
            if passed:
                writer.write(passed)
                await writer.drain()
            if passed is None or len(passed) < len(chunk):
                return
