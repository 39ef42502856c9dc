"""The load: keep-alive connections that each send the next chat as soon as the last is answered.

`python load.py PORT CONNECTIONS json|stream SECONDS [HEADER ...]` prints one JSON line: requests answered, requests a
second, and microseconds to the whole answer (json) or to its first byte (stream).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final, cast

import uvloop
from chats import bodies

WARM_UP: Final = 0.25
"""The part of the time that is not counted."""


@dataclass(slots=True)
class Tally:
    """What all connections saw."""

    counts_from: float
    """Answers before this moment are warm-up."""
    answered: int = 0
    """All answers, those of the warm-up too: what the server's CPU time is divided by."""
    micros: list[float] = field(default_factory=list)
    wrong: list[bytes] = field(default_factory=list)
    """Answers that are not a 200."""


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, stream: bool) -> None:
        self._requests = requests
        self._tally = tally
        self._stream = stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        self._begun = time.perf_counter()
        self._first = 0.0
        self._tail = b""
        self._left = -1
        self._out.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        if not self._first:
            self._first = time.perf_counter()
            if not data.startswith(b"HTTP/1.1 200"):
                self._tally.wrong.append(data[:400])
            self._left = answer_length(data)
        if self._left < 0:
            self._tail = (self._tail + data)[-5:]
            if self._tail == b"0\r\n\r\n":
                self._done()
        else:
            self._left -= len(data)
            if self._left <= 0:
                self._done()

    def _done(self) -> None:
        now = time.perf_counter()
        self._tally.answered += 1
        if now >= self._tally.counts_from:
            self._tally.micros.append(((self._first if self._stream else now) - self._begun) * 1e6)
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._tally.wrong.append(b"connection lost")


def answer_length(data: bytes) -> int:
    """Bytes of the whole answer whose head `data` holds; -1 where it is chunked."""
    head_end = data.index(b"\r\n\r\n")
    head = data[:head_end].lower()
    at = head.find(b"\r\ncontent-length:")
    return -1 if at < 0 else head_end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])


def requests(stream: bool, headers: Sequence[str]) -> list[bytes]:
    """The requests as sent."""
    lines = "".join(f"{line}\r\n" for line in ("host: 127.0.0.1", "content-type: application/json", *headers))
    head = f"POST /v1/chat/completions HTTP/1.1\r\n{lines}content-length: "
    return [f"{head}{len(body)}\r\n\r\n".encode() + body for body in bodies(stream)]


async def run(port: int, connections: int, stream: bool, seconds: float, headers: Sequence[str]) -> dict[str, object]:
    """Load a server and say how it went."""
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    tally = Tally(counts_from=begun + seconds * WARM_UP)
    source = cycle(requests(stream, headers))
    for _ in range(connections):
        await loop.create_connection(lambda: Client(source, tally, stream), "127.0.0.1", port)
    await asyncio.sleep(seconds)
    span = time.perf_counter() - tally.counts_from
    if tally.wrong or len(tally.micros) < 2:
        raise SystemExit(f"port {port}: {len(tally.micros)} answers, of them wrong: {tally.wrong[:1]}")
    percentiles = statistics.quantiles(tally.micros, n=100)
    return {
        "answered": tally.answered,
        "rps": len(tally.micros) / span,
        "p50": percentiles[49],
        "p99": percentiles[98],
    }


if __name__ == "__main__":
    at_port, at_once, kind, how_long, *extra = sys.argv[1:]
    print(json.dumps(uvloop.run(run(int(at_port), int(at_once), kind == "stream", float(how_long), extra))))
