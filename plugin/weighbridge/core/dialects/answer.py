"""Meters: what an answer used, learned while it goes by.

A dialect says how to read its usage and which keys hold generated text (`Reader`); the rest, plain
bodies and streams, content encodings, bounds and broken ends, is the same for all and stands here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from weighbridge.core.dialects.base import Meter
from weighbridge.core.dialects.sample import Sample
from weighbridge.core.dialects.sse import Event, Events
from weighbridge.core.dialects.unpack import Unpacker
from weighbridge.core.model import CutOff, Ending, Json, Reported, Usage

LARGEST_BODY = 64 * 1024 * 1024
DONE = b"[DONE]"
NOTHING = re.compile(rb"(?!)")
"""Where an answer holds no generated text."""
CALL = re.compile(
    rb'"(?:tool_use|server_tool_use|function_call|custom_tool_call|functionCall|toolUse)"'
    rb'|"function"\s*+:\s*+\{[^{}]*?"name"'
)
"""Where a call of a tool begins."""
ANYTHING = re.compile(rb"(.+)", re.DOTALL)
"""Where what is generated cannot be told from the rest."""


_CHARS = r'(?:[^"\\]++|\\.)*+'
_LEAF = rf'[^{{}}"]++|"{_CHARS}"?+'
_MEMBERS = rf"(?:{_LEAF}|\{{(?:{_LEAF})*+\}}?+)*+"
"""Inside an object, with one level of objects in it: a lower bound of deeper ones."""


def keys(*names: str, objects: tuple[str, ...] = ("\0",)) -> re.Pattern[bytes]:
    """Matches the string values of `names`, and the object values of `objects`, in JSON text, also one
    cut off in its middle.  Group 1 is the text with its escapes, never shorter than the text itself."""
    strings, braced = "|".join(names), "|".join(objects)
    head = rf'"(?:(?:{strings})"\s*+:\s*+"|(?:{braced})"\s*+:\s*+\{{)'
    return re.compile(rf'{head}((?<="){_CHARS}|(?<=\{{){_MEMBERS})'.encode(), re.DOTALL)


def latest(known: Usage | None, usage: Usage | None, event: Mapping[str, Any]) -> Usage | None:
    """Cumulative reports: the last one wins."""
    return known if usage is None else usage


def always(event: Mapping[str, Any]) -> bool:
    """Every report is the final one."""
    return True


def never(event: Mapping[str, Any]) -> bool:
    """No event is withheld."""
    return False


def sound(event: Mapping[str, Any]) -> str:
    """No event is an error."""
    return ""


@dataclass(frozen=True, slots=True)
class Reader:
    """How a dialect reads its answers."""

    usage: Callable[[Json], Usage | None]
    """Usage in a whole body, or in one event of a stream."""
    written: re.Pattern[bytes]
    """`keys` of generated text in a whole body."""
    streamed: re.Pattern[bytes]
    """`keys` of generated text in one event of a stream."""
    mark: re.Pattern[bytes] = re.compile(rb'"usage"\s*+:\s*+\{')
    """An event without this says nothing about usage and is not parsed."""
    merge: Callable[[Usage | None, Usage | None, Mapping[str, Any]], Usage | None] = latest
    """(known so far, this event's usage, the event) -> known from now on."""
    final: Callable[[Mapping[str, Any]], bool] = always
    """Whether the usage known with this event is that of the whole answer."""
    extra: Callable[[Mapping[str, Any]], bool] = never
    """Whether this event is there only because usage was asked for on the client's behalf."""
    broken: Callable[[Mapping[str, Any]], str] = sound
    """Why the answer ends with this event, where it is the provider's error; else ""."""
    open_ended: bool = False
    """Answers may end without an event that says so: a clean end makes the usage known then final."""


class Tally:
    """What is known of an answer so far: its usage, and evidence in case none comes."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.usage: Usage | None = None
        self.final = False
        self.seen_bytes = 0
        self.seen_events = 0
        self.seen_calls = 0
        self.sample = Sample()
        self.unread = 0
        """Bytes of a stream's JSON objects, whatever they say."""
        self.trouble = ""
        """Why the answer cannot be read, once that is so."""

    def event(self, data: bytes) -> bool:
        """Take the JSON text of one event.  True: it was there only for its usage."""
        if data.startswith(DONE):
            self.final = self.usage is not None
            return False
        self.content(data, self.reader.streamed)
        self.unread += len(data) if data[:1] + data[-1:] == b"{}" else 0
        event = _object(data) if self.reader.mark.search(data) else None
        if event is None:
            return False
        self.trouble = self.trouble or self.reader.broken(event)
        usage = self.reader.usage(event)
        self.usage = self.reader.merge(self.usage, usage, event)
        self.final = self.final or (usage is not None and self.reader.final(event))
        return self.reader.extra(event)

    def body(self, data: bytes) -> None:
        """Take a whole JSON answer, or as much of it as came."""
        self.content(data, self.reader.written)
        answer = _object(data)
        self.usage = None if answer is None else self.reader.usage(answer)
        self.final = self.usage is not None

    def content(self, data: bytes, pattern: re.Pattern[bytes]) -> None:
        """Count generated bytes in JSON text."""
        self.seen_calls += len(CALL.findall(data))
        found = b"".join(pattern.findall(data))
        if found:
            self.seen_bytes += len(found)
            self.seen_events += 1
            self.sample.add(found)

    def seen(self) -> CutOff:
        """What went by so far."""
        return CutOff("", self.usage, self.seen_bytes, self.seen_events)

    def ending(self, cut: str) -> Ending:
        """How the call ended; see `Meter.ending`."""
        ended = self.reader.open_ended and not cut and not self.trouble
        if self.usage is not None and (self.final or ended):
            return Reported(self.usage)
        reason = cut or self.trouble or ("no usage reported" if self.usage is None else "no final usage reported")
        # A stream that ran to its end and said nothing we can read has its words under keys of the provider's own.
        seen = self.seen_bytes or (0 if cut or self.trouble else self.unread)
        return CutOff(reason, self.usage, seen, self.seen_events, *self.sample.text(), self.seen_calls)


class StreamMeter:
    """Meters server-sent events.  With `withhold`, events that are there only for their usage do not
    pass, and the others pass when they are whole."""

    def __init__(self, reader: Reader, headers: Mapping[str, str], withhold: bool = False) -> None:
        self._tally = Tally(reader)
        self._plain = Unpacker(headers)
        self._events = Events()
        # Nothing can be taken out of a compressed stream.
        self._withhold = withhold and self._plain.identity

    def feed(self, chunk: bytes) -> bytes:
        fresh = self._events.idle
        events = self._events.feed(self._plain.feed(chunk))
        passed = self._take(events)
        if not self._withhold or (fresh and self._events.idle and len(passed) == len(chunk)):
            return chunk
        return passed

    def finish(self) -> bytes:
        passed = self._take(self._events.finish())
        return passed if self._withhold else b""

    def seen(self) -> CutOff:
        return self._tally.seen()

    def ending(self, cut: str = "") -> Ending:
        self._take(self._events.finish())
        if self._events.blind:
            self._tally.trouble = "an event too large to be read"
        self._tally.trouble = self._plain.trouble or self._tally.trouble
        return self._tally.ending(cut)

    def _take(self, events: list[Event]) -> bytes:
        return b"".join([event.raw for event in events if not self._read(event) or not self._withhold])

    def _read(self, event: Event) -> bool:
        data = event.data()
        if not event.whole:
            self._tally.content(event.raw, ANYTHING)
        return bool(data) and self._tally.event(data)


class BodyMeter:
    """Meters a plain JSON answer: collects it on the side, reads it at the end."""

    def __init__(self, reader: Reader, headers: Mapping[str, str]) -> None:
        self._tally = Tally(reader)
        self._plain = Unpacker(headers)
        self._body = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        plain = self._plain.feed(chunk)
        if self._tally.trouble:
            self._tally.content(plain, ANYTHING)
        else:
            self._body += plain
        if len(self._body) > LARGEST_BODY:
            self._tally.trouble = "an answer too large to be read"
            self._tally.content(bytes(self._body), self._tally.reader.written)
            self._body.clear()
        return chunk

    def finish(self) -> bytes:
        return b""

    def seen(self) -> CutOff:
        return self._tally.seen()

    def ending(self, cut: str = "") -> Ending:
        if self._body:
            self._tally.body(bytes(self._body))
            self._body.clear()
        self._tally.trouble = self._plain.trouble or self._tally.trouble
        return self._tally.ending(cut)


def meter(reader: Reader, headers: Mapping[str, str], withhold: bool = False, stream: bool = False) -> Meter:
    """The meter fit for an answer with these (lower-case) headers.  `stream`: one was asked for, so an
    answer whose type says neither event stream nor JSON is taken for one."""
    kind = headers.get("content-type", "").lower()
    if kind.startswith("text/event-stream") or (stream and "json" not in kind):
        return StreamMeter(reader, headers, withhold)
    return BodyMeter(reader, headers)


def amount(report: Mapping[str, Any], *names: str) -> int | None:
    """The first of these members that is a token count; None where none is.  Providers send null
    for what they did not count."""
    for name in names:
        value = report.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def inner(report: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The first of these members that is an object; an empty one where none is."""
    return next((report[name] for name in names if isinstance(report.get(name), dict)), {})


def _object(data: bytes) -> dict[str, Any] | None:
    """What a provider sent, leniently: None where it is not a JSON object."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
