"""The forwarder: an admitted request goes to its provider, the answer comes back as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

import aiohttp
from yarl import URL

from weighbridge.adapters.asgi import Passage, Receive, Scope, Send, answer
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.endings import LEFT
from weighbridge.core.errors import Refused
from weighbridge.settings import Provider, Streams

CONNECT_SECONDS: Final = 10
SILENCE_SECONDS: Final = 600
"""Longest silence of a provider: reasoning models think for minutes before their first byte."""
SMALL_ANSWER: Final = 1024 * 1024
"""Plain answers up to this size go to the client in one piece."""

CREDENTIALS: Final = (b"authorization", b"x-api-key", b"x-goog-api-key", b"x-auth-token")
NOT_FORWARDED: Final = frozenset(
    (b"host", b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
     b"transfer-encoding", b"upgrade", b"content-length", b"accept-encoding", b"expect", b"cookie",
     b"x-http-method-override", b"x-http-method", b"x-method-override", *CREDENTIALS)
)  # fmt: skip
NOT_RETURNED: Final = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"set-cookie"))
KEY_HEADER: Final[Mapping[str, tuple[str, str]]] = {
    "anthropic-messages": ("x-api-key", "{}"),
    "gemini-generate": ("x-goog-api-key", "{}"),
    "pangu-chat": ("x-auth-token", "{}"),
}
"""Where a provider's key goes, by dialect; everybody else takes `Authorization: Bearer`."""
BEARER: Final = ("authorization", "Bearer {}")
UNANSWERED: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""What a provider that fails to answer looks like from here."""
FREE: Final[Mapping[type[Exception], str]] = {
    aiohttp.ClientConnectorError: "could not be reached",
    aiohttp.ConnectionTimeoutError: "could not be reached",
    aiohttp.ServerDisconnectedError: "closed the connection without a byte",
    aiohttp.ClientOSError: "closed the connection without a byte",
}
"""Failures before the first byte of an answer, and how they are told."""


class Forwarder:
    """One connection pool to all providers."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool (needs the running loop)."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("user-agent", "content-type", "accept", "accept-encoding"),
        )

    async def stop(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def forward(
        self, scope: Scope, receive: Receive, send: Send, provider: Provider, dialect: str, passage: Passage | None
    ) -> None:
        """Send the request on, and its answer back.  A failure becomes the dialect's own 502 or 504."""
        assert self._session is not None
        body = (await receive()).get("body", b"")
        request = self._session.request(
            scope["method"],
            _url(provider, scope),
            data=body or None,
            headers=_headers(scope, provider, dialect, passage),
            allow_redirects=False,
        )
        begun = False
        try:
            async with request as response:
                begun = True
                headers = _returned(response)
                start = {"type": "http.response.start", "status": response.status, "headers": headers}
                if _small(response):
                    # Status and length promise a whole answer: read it before the first byte goes out.
                    whole = await response.read()
                    await send(start)
                    return await send({"type": "http.response.body", "body": whole})
                await send(start)
                await self._stream(response, receive, send, passage)
        except UNANSWERED as error:
            await answer(send, _failed(error, begun, provider, dialect, passage))

    async def _stream(
        self, response: aiohttp.ClientResponse, receive: Receive, send: Send, passage: Passage | None
    ) -> None:
        gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        patience = asyncio.timeout(None)
        watch = asyncio.ensure_future(self._watch(receive, gone, patience, passage))
        try:
            async with patience:
                async for chunk in response.content.iter_any():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    if gone.done() and passage is not None and passage.seen() > gone.result():
                        return _cut(passage, LEFT)
        except UNANSWERED as error:
            # The status is out already: all that is left is to break off as the provider did.
            return _cut(passage, LEFT if gone.done() else f"the provider broke off ({_named(error)})")
        finally:
            watch.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _watch(
        self, receive: Receive, gone: asyncio.Future[int], patience: asyncio.Timeout, passage: Passage | None
    ) -> None:
        """Once the client has left: read on for what the provider reports, no longer than agreed.  `gone` is
        told how many tokens may have gone by in the end."""
        while (await receive())["type"] != "http.disconnect":
            continue
        gone.set_result(self._streams.drain_tokens + (passage.seen() if passage is not None else 0))
        # An answer that comes whole or not at all costs its worst case if it is not read.
        whole = passage is not None and not passage.ticket.call.stream
        seconds = self._streams.drain_seconds if whole or self._streams.on_disconnect == "drain" else 0
        patience.reschedule(asyncio.get_running_loop().time() + seconds)


def _url(provider: Provider, scope: Scope) -> URL:
    path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
    query = scope.get("query_string", b"").decode("latin-1")
    if "key=" in query:
        query = urlencode([(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k != "key"])
    return URL(f"{provider.base_url}{path}" + (f"?{query}" if query else ""), encoded=True)


def _headers(scope: Scope, provider: Provider, dialect: str, passage: Passage | None) -> list[tuple[str, str]]:
    kept = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name not in NOT_FORWARDED and not name.startswith(b"x-weighbridge-")
    ]
    accepted = dict(scope["headers"]).get(b"accept-encoding", b"")
    # What cannot be read on the way cannot be metered: gzip can, br and zstd cannot.  And out of a packed
    # stream no usage can be taken that the client did not ask for.
    withheld = passage is not None and passage.ticket.call.stream and not passage.ticket.call.wants_usage
    kept.append(("accept-encoding", "gzip" if b"gzip" in accepted and not withheld else "identity"))
    if provider.api_key is not None:
        name, form = KEY_HEADER.get(dialect, BEARER)
        kept.append((name, form.format(provider.api_key.get_secret_value())))
    return kept


def _returned(response: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in response.raw_headers if name.lower() not in NOT_RETURNED]


def _small(response: aiohttp.ClientResponse) -> bool:
    return response.content_length is not None and response.content_length <= SMALL_ANSWER


def _failed(error: Exception, begun: bool, provider: Provider, dialect: str, passage: Passage | None) -> reply.Reply:
    """A provider without an answer.  What failed before its first byte costs nothing; a silence that we
    ended, or a body that broke off, may have been generated and billed all the same."""
    words = None if begun else next((words for kind, words in FREE.items() if isinstance(error, kind)), None)
    if passage is not None:
        passage.sent = words is None
    _cut(passage, f"no answer from the provider ({_named(error)})")
    refused = Refused("provider_down", f"Provider '{provider.name}' {words or 'did not answer'} ({_named(error)}).")
    return reply.refused(refused, DIALECTS[dialect], passage.ticket.id if passage else "")


def _named(error: BaseException) -> str:
    return type(error).__name__


def _cut(passage: Passage | None, why: str) -> None:
    if passage is not None:
        passage.cut = passage.cut or why
