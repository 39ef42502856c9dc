"""The bare pass-through: uvicorn and a forwarding client, nothing between.

`python passthrough.py CLIENT PORT UPSTREAM_PORT`; CLIENT is a key of `CLIENTS`.  Each is the client's fastest honest
use: one pool without a limit, no cookies, no decompression, no redirects, bytes passed on as they come.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import uvicorn

Headers = list[tuple[bytes, bytes]]
Forward = Callable[[str, Headers, bytes, Callable[[dict[str, Any]], Awaitable[None]]], Awaitable[None]]
HOP_BY_HOP = frozenset({b"host", b"connection", b"keep-alive", b"content-length", b"transfer-encoding"})


def onward(headers: Headers) -> Headers:
    """The headers that go on to the other side (framing is made anew)."""
    return [header for header in headers if header[0] not in HOP_BY_HOP]


def start(status: int, headers: Headers) -> dict[str, Any]:
    """The ASGI message that opens an answer; a known length keeps its length."""
    kept = [h for h in headers if h[0] == b"content-length" or h[0] not in HOP_BY_HOP]
    return {"type": "http.response.start", "status": status, "headers": kept}


def piece(body: bytes) -> dict[str, Any]:
    """The ASGI message that carries bytes of an answer."""
    return {"type": "http.response.body", "body": body, "more_body": True}


END = {"type": "http.response.body", "body": b"", "more_body": False}


@asynccontextmanager
async def raw(upstream: int) -> AsyncIterator[Forward]:
    from rawclient import Pool

    pool = Pool("127.0.0.1", upstream)

    async def forward(path: str, headers: Headers, body: bytes, send: Any) -> None:
        answer = await pool.request(path, headers, body)
        await send(start(answer.status, answer.headers))
        while chunk := await answer.read():
            await send(piece(chunk))
        pool.give_back(answer)
        await send(END)

    yield forward


@asynccontextmanager
async def aiohttp(upstream: int) -> AsyncIterator[Forward]:
    from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
    from multidict import CIMultiDict
    from yarl import URL

    base = URL(f"http://127.0.0.1:{upstream}")
    session = ClientSession(
        connector=TCPConnector(limit=0),
        cookie_jar=DummyCookieJar(),
        auto_decompress=False,
        timeout=ClientTimeout(total=None),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
    )

    async def forward(path: str, headers: Headers, body: bytes, send: Any) -> None:
        sent = CIMultiDict((name.decode(), value.decode("latin-1")) for name, value in headers)
        async with session.post(base.with_path(path), data=body, headers=sent, allow_redirects=False) as answer:
            await send(start(answer.status, [(name.lower(), value) for name, value in answer.raw_headers]))
            async for chunk in answer.content.iter_any():
                await send(piece(chunk))
        await send(END)

    async with session:
        yield forward


def _httpx_like(module: str) -> Callable[[int], AbstractAsyncContextManager[Forward]]:
    @asynccontextmanager
    async def client(upstream: int) -> AsyncIterator[Forward]:
        from importlib import import_module

        library = import_module(module)
        url = f"http://127.0.0.1:{upstream}"
        limits = library.Limits(max_connections=None, max_keepalive_connections=None)
        session = library.AsyncClient(limits=limits, timeout=None, trust_env=False)

        async def forward(path: str, headers: Headers, body: bytes, send: Any) -> None:
            request = library.Request("POST", url + path, headers=headers, content=body)
            answer = await session.send(request, stream=True)
            await send(start(answer.status_code, [(name.lower(), value) for name, value in answer.headers.raw]))
            async for chunk in answer.aiter_raw():
                await send(piece(chunk))
            await answer.aclose()
            await send(END)

        async with session:
            yield forward

    return client


@asynccontextmanager
async def pyreqwest(upstream: int) -> AsyncIterator[Forward]:
    from pyreqwest.client import ClientBuilder

    url = f"http://127.0.0.1:{upstream}"
    builder = ClientBuilder().gzip(False).brotli(False).zstd(False).deflate(False).no_proxy().follow_redirects(False)

    async with builder.build() as session:

        async def forward(path: str, headers: Headers, body: bytes, send: Any) -> None:
            sent = [(name.decode(), value.decode("latin-1")) for name, value in headers]
            request = session.post(url + path).headers(sent).body_bytes(body)
            # By default it would collect the whole stream before its first chunk.
            async with request.streamed_read_buffer_limit(0).build_streamed() as answer:
                got = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
                await send(start(answer.status, got))
                while chunk := await answer.body_reader.read_chunk():
                    await send(piece(bytes(chunk)))
            await send(END)

        yield forward


CLIENTS: dict[str, Callable[[int], AbstractAsyncContextManager[Forward]]] = {
    "raw": raw,
    "aiohttp": aiohttp,
    "httpx": _httpx_like("httpx"),
    "httpx2": _httpx_like("httpx2"),
    "pyreqwest": pyreqwest,
}


class App:
    """An ASGI application that forwards every request."""

    def __init__(self, client: AbstractAsyncContextManager[Forward]) -> None:
        self._client = client

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            body = b""
            while True:
                message = await receive()
                body += message.get("body", b"")
                if not message.get("more_body"):
                    break
            await self._forward(scope["path"], onward(scope["headers"]), body, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        async with self._client as self._forward:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


if __name__ == "__main__":
    client_name, port, upstream_port = sys.argv[1:]
    application = App(CLIENTS[client_name](int(upstream_port)))
    uvicorn.run(application, port=int(port), loop="uvloop", http="httptools", access_log=False, log_level="warning")
