"""Server-sent events: bytes in, whole events out, wherever the chunks were cut.

Line ends may be \\n, \\r\\n or \\r.  Memory is bounded: an event larger than `MOST` is handed on in
pieces that are not read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 8 * 1024 * 1024
# A \r at the very end may be half a \r\n: undecided until the next byte comes.
_END = re.compile(rb"\n(?:\n|\r\n|\r(?=[^\n]))|\r\r(?:\n|(?=[^\n]))")
_LINE = re.compile(rb"\r\n|\n|\r")
_LONGEST_END = 4
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    raw: bytes
    """Its bytes as they came, its blank line with them; all events' `raw` joined are the stream."""
    whole: bool = True
    """False: a piece of an event too large to be read."""

    def data(self) -> bytes:
        """The `data:` lines joined by line feeds; b"" where there are none or the event is not whole."""
        if not self.whole:
            return b""
        lines = [_value(line) for line in _LINE.split(self.raw.removeprefix(_BOM)) if line.startswith(b"data")]
        return b"\n".join(line for line in lines if line is not None)


def _value(line: bytes) -> bytes | None:
    field, _, value = line.partition(b":")
    return value.removeprefix(b" ") if field == b"data" else None


class Events:
    """Cuts a stream into events."""

    def __init__(self) -> None:
        self.blind = False
        """An event was too large to be read."""
        self._buffer = bytearray()
        self._scanned = 0
        self._skipping = False

    @property
    def idle(self) -> bool:
        """Nothing is held back: the next byte begins an event."""
        return not self._buffer

    @property
    def held(self) -> int:
        """Bytes held back."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that are complete with this chunk."""
        self._buffer += chunk
        events: list[Event] = []
        start = 0
        for end in _END.finditer(self._buffer, self._scanned):
            events.append(self._event(start, end.end()))
            start = end.end()
            self._skipping = False
        if self._skipping or len(self._buffer) - start > MOST:
            self._skipping = True
            stop = max(start, len(self._buffer) - _LONGEST_END)
            if stop > start:
                events.append(self._event(start, stop))
            start = stop
        del self._buffer[:start]
        self._scanned = max(0, len(self._buffer) - _LONGEST_END)
        return events

    def finish(self) -> list[Event]:
        """The unfinished last event, where there is one."""
        rest = [self._event(0, len(self._buffer))] if self._buffer else []
        self._buffer.clear()
        return rest

    def _event(self, start: int, end: int) -> Event:
        whole = not self._skipping and end - start <= MOST
        self.blind = self.blind or not whole
        return Event(bytes(self._buffer[start:end]), whole)
