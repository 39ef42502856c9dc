"""Content encodings of answers, undone on the side as the bytes go by."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

MOST_AT_ONCE = 16 * 1024 * 1024
"""What one chunk may unpack to; more is an attack, not an answer."""
ZLIB, RAW_DEFLATE = 15, -15
ENCODINGS: Mapping[str, int] = {"gzip": 31, "x-gzip": 31, "deflate": ZLIB}
"""zlib window bits of the encodings that can be read."""


class Unpacker:
    """Undoes the content encoding named by an answer's (lower-case) headers."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        encoding = headers.get("content-encoding", "").strip().lower()
        self.identity = encoding in ("", "identity")
        self.trouble = "" if self.identity or encoding in ENCODINGS else f"unreadable encoding {encoding[:40]}"
        """Why nothing more can be read, once that is so."""
        self._bits = ENCODINGS.get(encoding, 0)
        self._zlib: Any = None

    def feed(self, chunk: bytes) -> bytes:
        """The plain bytes of the next chunk; b"" once there is trouble."""
        if self.identity or self.trouble or not chunk:
            return b"" if self.trouble else chunk
        if self._zlib is None:
            # "deflate" is often sent without the zlib wrapping that the name stands for.
            self._bits = RAW_DEFLATE if self._bits == ZLIB and chunk[0] & 15 != 8 else self._bits
            self._zlib = zlib.decompressobj(self._bits)
        try:
            return self._inflate(chunk)
        except zlib.error:
            self.trouble = "a content encoding that does not unpack"
            return b""

    def _inflate(self, chunk: bytes) -> bytes:
        plain = bytearray()
        while chunk:
            plain += self._zlib.decompress(chunk, MOST_AT_ONCE - len(plain))
            if len(plain) >= MOST_AT_ONCE:
                self.trouble = "a content encoding that unpacks to too much"
                break
            chunk = self._zlib.unused_data
            if self._zlib.eof:
                # A gzip file may be several, one after the other.
                self._zlib = zlib.decompressobj(self._bits)
        return bytes(plain)
