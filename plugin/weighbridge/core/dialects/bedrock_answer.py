"""Usage in Converse's answers: one object in a body; in a stream, in its last event (`metadata`).

A stream is AWS's binary event stream; where a library or a recording has taken it apart already,
it is one JSON object a line, with or without `data: ` before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from struct import error as StructError
from struct import unpack_from
from typing import Any, Protocol

from weighbridge.core.dialects.answer import ANYTHING, BodyMeter, Reader, Tally, amount, inner, keys
from weighbridge.core.dialects.base import Meter
from weighbridge.core.model import Call, CutOff, Ending, Json, Usage

EVENT_STREAM = "application/vnd.amazon.eventstream"
MOST = 24 * 1024 * 1024
"""Bytes of one event; AWS allows 16 MB."""
SMALLEST_FRAME = 16
STRING = 7
"""The type of a header's value that is a string."""


def usage(answer: Json) -> Usage | None:
    """Usage of a whole answer, or of one event.  `inputTokens` leaves out what a cache served or took."""
    if not isinstance(answer, Mapping):
        return None
    found = inner(answer, "usage") or inner(inner(answer, "metadata"), "usage")
    fresh, output = amount(found, "inputTokens"), amount(found, "outputTokens")
    if fresh is None and output is None:
        return None
    read = amount(found, "cacheReadInputTokens", "cacheReadInputTokenCount") or 0
    written = amount(found, "cacheWriteInputTokens", "cacheWriteInputTokenCount") or 0
    an_hour = min(written, _for_an_hour(found))
    return Usage(
        input=(fresh or 0) + read + written,
        output=output or 0,
        cache_read=read,
        cache_write=written - an_hour,
        cache_write_1h=an_hour,
        tier=_tier(answer),
    )


def _for_an_hour(found: Mapping[str, Any]) -> int:
    details = found.get("cacheDetails")
    rows = [row for row in details if isinstance(row, Mapping)] if isinstance(details, list) else []
    return sum(amount(row, "inputTokens") or 0 for row in rows if row.get("ttl") == "1h")


def _tier(answer: Mapping[str, Any]) -> str:
    word = (inner(answer, "serviceTier") or inner(inner(answer, "metadata"), "serviceTier")).get("type")
    return word if isinstance(word, str) and word not in ("default", "reserved") else ""


def _error(event: Mapping[str, Any]) -> str:
    """Exceptions come as events of their own."""
    name = next((key for key in event if key.endswith("Exception")), "")
    return f"provider error {name}: {inner(event, name).get('message')}"[:200] if name else ""


_MARK = re.compile(rb'"usage"\s*+:\s*+\{|Exception"\s*+:')
READER = Reader(
    usage=usage,
    written=keys("text", objects=("input",)),
    streamed=keys("text", "input"),
    mark=_MARK,
    broken=_error,
)


class Cutter(Protocol):
    """Takes a stream apart into the JSON texts of its events."""

    def cut(self, buffer: bytearray, last: bool) -> Iterator[bytes]:
        """The whole events in `buffer`, which are taken out of it; with `last`, the unfinished one too.
        Raises ValueError where it is no such stream."""


class Lines:
    """One JSON object a line."""

    def cut(self, buffer: bytearray, last: bool) -> Iterator[bytes]:
        """See Cutter."""
        *whole, rest = bytes(buffer).split(b"\n")
        buffer[:] = b"" if last else rest
        for line in (*whole, rest) if last else whole:
            yield line.strip().removeprefix(b"data:").strip()


class Frames:
    """AWS's event stream: length, length of the headers, checksum, headers, payload, checksum."""

    def cut(self, buffer: bytearray, last: bool) -> Iterator[bytes]:
        """See Cutter."""
        while len(buffer) >= SMALLEST_FRAME:
            size, headers = unpack_from(">II", buffer)
            if not SMALLEST_FRAME + headers <= size <= MOST:
                raise ValueError("no event stream")
            if len(buffer) < size:
                return
            frame = bytes(buffer[:size])
            del buffer[:size]
            name = _event_name(frame[12 : 12 + headers])
            yield b'{"' + name + b'":' + frame[12 + headers : -4] + b"}"


def _event_name(headers: bytes) -> bytes:
    """The value of `:event-type` or `:exception-type`, the member that the payload would be under."""
    at = 0
    while at < len(headers):
        size = headers[at]
        name, kind = headers[at + 1 : at + 1 + size], headers[at + 1 + size]
        if kind != STRING:
            break
        (length,) = unpack_from(">H", headers, at + 2 + size)
        value = headers[at + 4 + size : at + 4 + size + length]
        if name in (b":event-type", b":exception-type") and value.isalnum():
            return value
        at += 4 + size + length
    return b"event"


class StreamMeter:
    """Meters a stream of events, in constant memory."""

    def __init__(self, cutter: Cutter) -> None:
        self._tally = Tally(READER)
        self._cutter = cutter
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """See Meter."""
        if self._tally.trouble:
            self._tally.content(chunk, ANYTHING)
            return chunk
        self._buffer += chunk
        self._take(last=False)
        if len(self._buffer) > MOST:
            self._give_up("an event too large to be read")
        return chunk

    def finish(self) -> bytes:
        """See Meter."""
        self._take(last=True)
        return b""

    def seen(self) -> CutOff:
        """See Meter."""
        return self._tally.seen()

    def ending(self, cut: str = "") -> Ending:
        """See Meter."""
        self._take(last=True)
        return self._tally.ending(cut)

    def _take(self, last: bool) -> None:
        try:
            for data in self._cutter.cut(self._buffer, last):
                self._tally.event(data)
        except (ValueError, IndexError, StructError):
            self._give_up("a stream that cannot be read")

    def _give_up(self, why: str) -> None:
        self._tally.trouble = self._tally.trouble or why
        self._tally.content(bytes(self._buffer), ANYTHING)
        self._buffer.clear()


def meter(call: Call, headers: Mapping[str, str]) -> Meter:
    """A meter for a plain body, for AWS's event stream, or for events one a line."""
    kind = headers.get("content-type", "").lower()
    if kind.startswith(EVENT_STREAM):
        return StreamMeter(Frames())
    if call.stream or kind.startswith("text/event-stream"):
        return StreamMeter(Lines())
    return BodyMeter(READER, headers)
