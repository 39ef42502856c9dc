"""A provider stand-in that costs next to nothing: `python upstream.py PORT`.

Answers every POST at once: a chat completion, or a stream whose events leave a millisecond apart,
each in its own write.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final, cast

import uvloop
from chats import json_answer, stream_answer

EVENT_SECONDS: Final = 0.001
_BODY: Final = json_answer()
JSON_ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY
STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_PIECES: Final = tuple(b"%x\r\n%b\r\n" % (len(event), event) for event in stream_answer())
LAST: Final = b"0\r\n\r\n"


class Provider(asyncio.Protocol):
    """One keep-alive connection; requests are not pipelined."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._out = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._seen = bytearray()
        self._ends_at = 0

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if not self._ends_at:
            self._ends_at = request_length(self._seen)
        if self._ends_at and len(self._seen) >= self._ends_at:
            streamed = b'"stream":true' in self._seen
            self._seen.clear()
            self._ends_at = 0
            if streamed:
                self._stream(0)
            else:
                self._out.write(JSON_ANSWER)

    def _stream(self, number: int) -> None:
        if self._out.is_closing():
            return
        head = STREAM_HEAD if number == 0 else b""
        if number + 1 < len(STREAM_PIECES):
            self._out.write(head + STREAM_PIECES[number])
            self._loop.call_later(EVENT_SECONDS, self._stream, number + 1)
        else:
            self._out.write(STREAM_PIECES[number] + LAST)


def request_length(seen: bytearray) -> int:
    """Bytes of the request that `seen` begins with; 0 while that cannot be told yet."""
    head_end = seen.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    head = bytes(seen[:head_end]).lower()
    at = head.find(b"\r\ncontent-length:")
    if b"\r\ntransfer-encoding: chunked" in head:  # aiohttp under httpx, as LiteLLM has it
        return len(seen) if seen.endswith(b"\r\n0\r\n\r\n") else 0
    if at < 0:  # LiteLLM asks for the models
        return head_end + 4
    return head_end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0])


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
