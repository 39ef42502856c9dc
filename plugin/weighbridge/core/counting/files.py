"""Sizes read from the first bytes of base64 files: pixels, pages.  Nothing is decoded but heads."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from struct import error as StructError
from struct import unpack_from

HEAD = 65_536
"""Base64 characters looked at for an image's size; JPEGs keep it behind their metadata."""
FAR = 1 << 20
"""... and where that was not enough (a JPEG with a large preview or profile in front)."""
PDF_MOST = 48 << 20
"""Base64 characters of a PDF that are searched for pages."""

Size = tuple[int, int]
_BASE64 = re.compile(r"[A-Za-z0-9+/]*")
_PAGE = re.compile(rb"/Type\s*/Page(?![a-zA-Z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,6})\b")
_SOF = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def decoded(data: str, most: int) -> bytes:
    """The first bytes of a base64 text (data URLs and line breaks allowed), up to the first character
    that is none of base64's."""
    if data.startswith("data:"):
        data = data[data.find(",", 0, 256) + 1 :]
    head = data[:most].translate({10: None, 13: None, 32: None, 45: "+", 95: "/"})
    try:
        return base64.b64decode(head[: len(head) // 4 * 4] or head + "=" * (-len(head) % 4))
    except (binascii.Error, ValueError):
        good = _BASE64.match(head)
        whole = good[0] if good else ""
        return base64.b64decode(whole[: len(whole) // 4 * 4])


def image_size(data: str) -> Size | None:
    """Width and height of a PNG, JPEG, GIF or WebP, in pixels; None where they cannot be read."""
    for most in (HEAD, FAR):
        head = decoded(data, most)
        size = next((read(head) for magic, read in _IMAGES if head.startswith(magic)), None)
        if size is not None and min(size) > 0:
            return size
        if len(data) <= most:
            break
    return None


def pdf_pages(data: str) -> int | None:
    """Pages of a PDF, as its page objects or its page tree's count tell; None where they do not
    (compressed object streams)."""
    content = decoded(data, PDF_MOST)
    if b"%PDF" not in content[:1024]:
        return None
    counts = (int(found[1]) for found in _COUNT.finditer(content))
    return max(len(_PAGE.findall(content)), max(counts, default=0)) or None


def _guarded(read: Callable[[bytes], Size | None]) -> Callable[[bytes], Size | None]:
    def reader(head: bytes) -> Size | None:
        try:
            return read(head)
        except (StructError, IndexError):
            return None

    return reader


def _png(head: bytes) -> Size:
    return unpack_from(">II", head, 16)


def _gif(head: bytes) -> Size:
    return unpack_from("<HH", head, 6)


def _jpeg(head: bytes) -> Size | None:
    for marker, place in _segments(head):
        if marker in _SOF:
            height, width = unpack_from(">HH", head, place + 5)
            return width, height
    return None


def _segments(head: bytes) -> Iterator[tuple[int, int]]:
    """(marker, place of its length minus one) of a JPEG's segments."""
    place = 2
    while place + 4 <= len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        yield marker, place
        place += 2 + unpack_from(">H", head, place + 2)[0]


def _webp(head: bytes) -> Size | None:
    form = head[12:16]
    if form == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if form == b"VP8 ":
        width, height = unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    if form == b"VP8L":
        bits = unpack_from("<I", head, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


_IMAGES = (
    (b"\x89PNG", _guarded(_png)),
    (b"\xff\xd8", _guarded(_jpeg)),
    (b"GIF8", _guarded(_gif)),
    (b"RIFF", _guarded(_webp)),
)
