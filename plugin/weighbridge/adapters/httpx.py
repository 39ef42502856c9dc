"""Client transports for httpx, which the SDKs of openai and litellm are made with.

    client = OpenAI(http_client=httpx.Client(transport=Transport(team="research")))

What a transport takes: `transport`, the one it wraps (a new one of httpx's where none is given); a `guard`,
or what to build one from: `store` (a URL) and `config` (a file), where silent WEIGHBRIDGE_STORE and
WEIGHBRIDGE_CONFIG; and who sends: `org`, `team`, `user`, `key`, `tags`.

A proxy belongs to the transport it wraps, `Transport(httpx.HTTPTransport(proxy=...), team=...)`: what is given
as `httpx.Client(proxy=...)` goes around every transport, and so unweighed.

litellm in this process: `litellm.client_session` and `aclient_session` serve what it sends with the openai
SDK; for Anthropic, Gemini and others give `client=HTTPHandler(client=...)` (of its `llms.custom_httpx`)
with each call, or they go out unweighed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from weighbridge.adapters.client.loops import AsyncGate
from weighbridge.adapters.client.reading import AsyncStream, Stream
from weighbridge.adapters.client.threads import Gate
from weighbridge.core.errors import ConfigError

try:
    import httpx
except ModuleNotFoundError as missing:
    raise ConfigError("this needs httpx, which is not installed: pip install httpx") from missing

__all__ = ["AsyncTransport", "Transport"]


class _Stream(Stream, httpx.SyncByteStream):
    pass


class _AsyncStream(AsyncStream, httpx.AsyncByteStream):
    pass


class Transport(Gate, httpx.BaseTransport):
    """For `httpx.Client`."""

    library: ClassVar[Any] = httpx
    stream: ClassVar[type[Stream]] = _Stream


class AsyncTransport(AsyncGate, httpx.AsyncBaseTransport):
    """For `httpx.AsyncClient`."""

    library: ClassVar[Any] = httpx
    stream: ClassVar[type[AsyncStream]] = _AsyncStream
