"""The end of an answer that may not go on: whatever the client has got so far, it sees a message that
finished for want of tokens, in its dialect's own words.

    Curtain.feed(passed)      follows what goes to the client, event by event
    Curtain.fall(used)        last words, where the client stands between two events; else with the
                              end of the event at hand, from the next `feed`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from weighbridge.core.dialects.answer import DONE
from weighbridge.core.dialects.base import Closing
from weighbridge.core.dialects.gemini_array import JsonArray
from weighbridge.core.dialects.sse import MOST, Events
from weighbridge.core.model import Call, Json, Usage

KEPT = 16 * 1024
"""Characters of an answer that are remembered to be said again at its end, where a dialect does so."""


class Sequence:
    """Events of a stream of server-sent events."""

    def __init__(self) -> None:
        self._events = Events()

    @property
    def held(self) -> int:
        """Bytes of the event at hand."""
        return self._events.held

    @property
    def between(self) -> bool:
        """The next byte begins an event."""
        return self._events.idle

    def feed(self, chunk: bytes) -> list[bytes]:
        """The JSON texts that are whole with this chunk; b"" for an event without one."""
        return [event.data() for event in self._events.feed(chunk)]

    def write(self, events: list[Json]) -> bytes:
        """The last events, and the end."""
        return b"".join(map(_written, events))


class Elements:
    """Elements of an answer streamed as a JSON array."""

    held = 0

    def __init__(self) -> None:
        self._array = JsonArray(MOST)
        self._last = b""

    @property
    def between(self) -> bool:
        """No element is at hand."""
        return self._array.between

    def feed(self, chunk: bytes) -> list[bytes]:
        """The elements that are whole with this chunk."""
        self._last = chunk.rstrip()[-1:] or self._last
        return self._array.feed(chunk)

    def write(self, events: list[Json]) -> bytes:
        """The last elements and the array's end; nothing where it is closed."""
        if self._array.ended:
            return b""
        comma = b"" if self._last in (b",", b"[") else b","
        body = b",\n".join(json.dumps(event).encode() for event in events)
        # A comma that stands already must be followed by something.
        body = body or (b"{}" if self._last == b"," else b"")
        return (comma if body else b"") + b"\r\n" + body + b"\n]"


class Curtain:
    """Stands between a meter and the client of one answer."""

    def __init__(self, frame: Sequence | Elements, closing: Closing) -> None:
        self._frame = frame
        self._closing = closing
        self._used: Usage | None = None
        self._done = False
        self.fallen = False
        """The last words are said: nothing may follow."""

    def feed(self, passed: bytes) -> bytes:
        """What the client gets of the bytes meant for it: all of them; once the curtain is to fall,
        the rest of the event at hand and the last words."""
        if self._used is None:
            self._hear(self._frame.feed(passed))
            return passed
        for at in range(len(passed)):
            whole = self._frame.feed(passed[at : at + 1])
            if whole:
                self._hear(whole)
                return passed[: at + 1 - self._frame.held] + self._words(self._used)
        return passed

    def fall(self, used: Usage) -> bytes:
        """Last words, with what was used as far as is known; b"" where an event is at hand still."""
        self._used = used
        return self._words(used) if self._frame.between else b""

    def _words(self, used: Usage) -> bytes:
        self.fallen = True
        return b"" if self._done else self._frame.write(self._closing.say(used))

    def _hear(self, texts: list[bytes]) -> None:
        for text in texts:
            self._done = self._done or text == DONE
            if text[:1] == b"{":
                try:
                    event = json.loads(text)
                except (ValueError, RecursionError):
                    continue
                self._closing.hear(event)


def curtain(begin: Callable[[Call], Closing] | None, call: Call, headers: Mapping[str, str]) -> Curtain | None:
    """A curtain for a streamed answer with these (lower-case) headers; None where nothing can be added
    to it: no format of ours, or a compressed stream."""
    if begin is None or headers.get("content-encoding", "identity").lower() != "identity":
        return None
    kind = headers.get("content-type", "").lower()
    if "json" in kind and call.dialect != "gemini-generate":
        return None
    return Curtain(Elements() if "json" in kind else Sequence(), begin(call))


def _written(event: Json) -> bytes:
    if not isinstance(event, dict):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()
