"""Request bodies as ASGI brings them: read with a bound, decompressed with the same bound, replayed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from weighbridge.core.errors import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Iterable[tuple[bytes, bytes]]

WINDOW_BITS: Mapping[str, int] = {"gzip": 31, "x-gzip": 31, "deflate": 47}
"""zlib's word for each content encoding that is understood."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request body, and whether it still is what the client's headers announce."""

    plain: bytes
    """The body, decompressed."""
    touched: bool = False
    """True where it was decompressed or amended, so that the length and encoding headers are wrong."""

    def replaced(self, plain: bytes) -> Body:
        """Another body instead."""
        return Body(plain, True)

    def headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        """The request headers that are true of this body."""
        if not self.touched:
            return list(headers)
        gone = (b"content-length", b"content-encoding", b"transfer-encoding")
        kept = [(name, value) for name, value in headers if name not in gone]
        return [*kept, (b"content-length", str(len(self.plain)).encode())]

    def replay(self, receive: Receive) -> Receive:
        """A `receive` that brings this body first, and then what the client does (disconnect)."""
        brought = False

        async def again() -> MutableMapping[str, Any]:
            nonlocal brought
            if brought:
                return await receive()
            brought = True
            return {"type": "http.request", "body": self.plain, "more_body": False}

        return again


async def read_body(scope: MutableMapping[str, Any], receive: Receive, most: int) -> Body:
    """The whole request body.  Raises Refused: too large (also when unpacked), an encoding that is
    not understood, a client that left before its body was whole."""
    headers = {name: value.decode("latin-1").strip().lower() for name, value in scope["headers"]}
    announced = headers.get(b"content-length", "0")
    if announced.isdecimal() and int(announced) > most:
        raise _too_large(most)
    return unpacked(await _collect(receive, most), headers.get(b"content-encoding", "identity"), most)


def unpacked(body: bytes, encoding: str, most: int) -> Body:
    """A request body as it came, its (lower-case) content encoding undone.  Raises Refused as `read_body` does."""
    if len(body) > most:
        raise _too_large(most)
    if encoding in ("identity", ""):
        return Body(body)
    if encoding not in WINDOW_BITS:
        raise Refused(
            "unsupported_media",
            f"Request bodies in '{encoding[:40]}' cannot be read. Send plain JSON, gzip or deflate.",
        )
    return Body(_unpack(body, WINDOW_BITS[encoding], most), True)


async def _collect(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused("malformed", "The connection closed before the request body was whole.")
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _unpack(body: bytes, bits: int, most: int) -> bytes:
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error as error:
        raise Refused("malformed", f"The compressed request body cannot be unpacked ({error}).") from error
    if len(plain) > most:
        raise _too_large(most)
    if not unpacker.eof:
        raise Refused("malformed", "The compressed request body breaks off before its end.")
    return plain


def _too_large(most: int) -> Refused:
    return Refused(
        "too_large",
        f"The request body is larger than {most // (1024 * 1024)} MB. Send less, or raise limits.max_body_mb.",
    )
