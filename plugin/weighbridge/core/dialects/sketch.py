"""A request body with its giant strings and lists cut short: what is too long in its first megabytes is too long.

Reading 50 MB of JSON is one step of the interpreter, during which no other thread runs.  Here a body
is looked through block by block, and only a sketch of it is read: the same JSON with less text in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

BLOCK = 1024 * 1024
LONGEST_ESCAPE = 6
"""Bytes of `\\u1234`."""
LONGEST_CHARACTER = 4
MOST_BACKSLASHES = 4096
"""A longer run of them is nobody's text, and may be cut in a wrong place: whoever sends it is only refused."""

Span = tuple[int, int]

# Between two turns of a chat.  Never inside a string: its first quote is not escaped, and one that
# closes a string is not followed by a letter.
_SEAM = re.compile(rb'\}\s*(?=,\s*\{\s*"(role|content|parts)"\s*:)')


def giants(body: bytes) -> list[Span]:
    """Where strings of several megabytes lie: (start, end) of the whole blocks inside each, at places
    where neither an escape nor a character is cut.  Means something only for a body that is JSON."""
    found: list[Span] = []
    inside = False
    for start, end in _blocks(body):
        quotes = _quotes(body, start, end)
        if inside and not quotes:
            joined = bool(found) and found[-1][1] == start
            found[-1:] = [(found[-1][0], end)] if joined else [*found[-1:], (start, end)]
        inside ^= quotes % 2 == 1
    return found


def sketch(body: bytes, spans: Sequence[Span], keep: int) -> bytes:
    """The body without what lies in `spans` behind their first `keep` bytes, or a little less."""
    pieces, at = [], 0
    for start, end in spans:
        cut = start + keep
        if cut < end:
            pieces.append(body[at : _clean(body, cut)])
            at = end
    return b"".join([*pieces, body[at:]])


def abridged(body: bytes, keep: int) -> bytes:
    """The body without the turns that begin behind its first `keep` bytes, but for the last one; where no such
    turns are seen, the body itself.  No longer JSON where the objects at the two cuts lie at different depths,
    which is rare: both begin with the same key."""
    first = _SEAM.search(body, keep, keep + BLOCK)
    if first is None:
        return body
    behind = _SEAM.finditer(body, max(first.end(), len(body) - BLOCK))
    ends = [seam.end() for seam in behind if seam[1] == first[1]]
    return body[: first.end()] + body[ends[-1] :] if ends else body


def _blocks(body: bytes) -> Iterator[Span]:
    start = 0
    while start < len(body):
        end = _clean(body, start + BLOCK) if start + BLOCK < len(body) else len(body)
        yield start, end
        start = end


def _clean(body: bytes, end: int) -> int:
    """The last place up to `end` where no escape and no character is under way."""
    escape = body.rfind(b"\\", end - LONGEST_ESCAPE, end)
    if escape >= 0:
        before = body[max(0, escape - MOST_BACKSLASHES) : escape + 1]
        end = escape + 1 - (len(before) - len(before.rstrip(b"\\")))
    starts = (at for at in range(end, end - LONGEST_CHARACTER, -1) if body[at] & 0xC0 != 0x80)
    return next(starts, end)


def _quotes(body: bytes, start: int, end: int) -> int:
    """Quotes that open or close a string."""
    quotes = body.count(b'"', start, end)
    if not quotes or body.find(b"\\", start, end) < 0:
        return quotes
    if body.find(b'\\\\"', start, end) < 0:
        return quotes - body.count(b'\\"', start, end)
    return body[start:end].replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"')
