"""Gemini's other stream: a JSON array whose elements arrive one by one.

`[{"candidates": ...}`, then `,{"candidates": ..., "usageMetadata": ...}`, and at the end `]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from weighbridge.core.dialects.answer import Reader, Tally
from weighbridge.core.dialects.sse import MOST
from weighbridge.core.dialects.unpack import Unpacker
from weighbridge.core.model import CutOff, Ending

_PLAIN = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""Everything up to the next bracket, or up to a string that does not end in these bytes."""
_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
"""The rest of a string, up to its closing quote."""
_OPENING, _CLOSING, _QUOTE, _BACKSLASH = b"{[", b"}]", ord('"'), ord("\\")


class JsonArray:
    """Cuts a stream of bytes into the objects of one top-level array (or one bare object).

    Bytes may be split anywhere.  Each is looked at once, by the regex engine; memory is the element
    at hand.  An element longer than `largest` bytes is passed over: it yields nothing.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._element = bytearray()
        self._over = False
        self._array = False
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self.ended = False
        """The array is closed (or the bare object whole)."""
        self.passed_over = 0
        """Bytes of elements too long to be kept."""

    @property
    def between(self) -> bool:
        """No element is under way."""
        return self._depth == 0

    @property
    def rest(self) -> bytes:
        """The unfinished last element, as far as it came."""
        return bytes(self._element)

    def feed(self, chunk: bytes) -> list[bytes]:
        """The elements that these bytes complete, in order."""
        elements: list[bytes] = []
        begin = at = 0
        while at < len(chunk):
            at = self._to_bracket(chunk, at)
            if at == len(chunk):
                break
            byte = chunk[at : at + 1]
            at += 1
            if byte in _OPENING:
                begin = self._open(byte, at, begin)
            elif self._depth == 0:
                self.ended = True
            else:
                self._depth -= 1
                if self._depth == 0:
                    self.ended = not self._array
                    self._keep(chunk[begin:at])
                    elements += self._take()
        if self._depth:
            self._keep(chunk[begin:])
        return elements

    def _to_bracket(self, chunk: bytes, at: int) -> int:
        """The place of the next bracket outside strings, or the end of the chunk."""
        if self._escaped:
            self._escaped = False
            at += 1
        if self._in_string:
            at = self._through_string(chunk, at)
        if not self._in_string:
            at = _end(_PLAIN, chunk, at)
            if at < len(chunk) and chunk[at] == _QUOTE:
                self._in_string = True
                at = self._through_string(chunk, at + 1)
        return at

    def _through_string(self, chunk: bytes, at: int) -> int:
        at = _end(_STRING, chunk, at)
        if at == len(chunk):
            return at
        if chunk[at] == _BACKSLASH:
            self._escaped = True
        else:
            self._in_string = False
        return at + 1

    def _open(self, byte: bytes, at: int, begin: int) -> int:
        """Count an opening bracket; the outer array's own is none.  Where the element begins."""
        if self._depth == 0:
            if byte == b"[":
                self._array = True
                return begin
            begin = at - 1
        self._depth += 1
        return begin

    def _keep(self, piece: bytes) -> None:
        self._over = self._over or len(self._element) + len(piece) > self._largest
        if self._over:
            self.passed_over += len(self._element) + len(piece)
            self._element.clear()
        else:
            self._element += piece

    def _take(self) -> list[bytes]:
        element, over = bytes(self._element), self._over
        self._element.clear()
        self._over = False
        return [] if over else [element]


def _end(pattern: re.Pattern[bytes], chunk: bytes, at: int) -> int:
    match = pattern.match(chunk, at)
    return match.end() if match else at


class ArrayMeter:
    """Meters an answer streamed as a JSON array, element by element."""

    def __init__(self, reader: Reader, headers: Mapping[str, str]) -> None:
        self._tally = Tally(reader)
        self._plain = Unpacker(headers)
        self._array = JsonArray(MOST)

    def feed(self, chunk: bytes) -> bytes:
        """Nothing is ever held back."""
        for element in self._array.feed(self._plain.feed(chunk)):
            self._tally.event(element)
        return chunk

    def finish(self) -> bytes:
        return b""

    def seen(self) -> CutOff:
        return self._tally.seen()

    def ending(self, cut: str = "") -> Ending:
        self._tally.content(self._array.rest, self._tally.reader.streamed)
        self._tally.seen_bytes += self._array.passed_over
        broken = "" if self._array.ended else "the array was not closed"
        self._tally.trouble = self._plain.trouble or self._tally.trouble or broken
        return self._tally.ending(cut)
