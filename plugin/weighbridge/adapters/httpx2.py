"""Client transports for httpx2, which the SDKs of anthropic 2.x and google-genai 3.x are made with.

    client = Anthropic(http_client=httpx2.Client(transport=Transport(team="research")))

What a transport takes: `transport`, the one it wraps (a new one of httpx2's where none is given); a `guard`,
or what to build one from: `store` (a URL) and `config` (a file), where silent WEIGHBRIDGE_STORE and
WEIGHBRIDGE_CONFIG; and who sends: `org`, `team`, `user`, `key`, `tags`.

A proxy belongs to the transport it wraps, `Transport(httpx2.HTTPTransport(proxy=...), team=...)`: what is given
as `httpx2.Client(proxy=...)` goes around every transport, and so unweighed.
"""

from __future__ import annotations

from typing import Any, ClassVar

from weighbridge.adapters.client.loops import AsyncGate
from weighbridge.adapters.client.reading import AsyncStream, Stream
from weighbridge.adapters.client.threads import Gate
from weighbridge.core.errors import ConfigError

try:
    import httpx2
except ModuleNotFoundError as missing:
    raise ConfigError("this needs httpx2, which is not installed: pip install 'weighbridge[httpx2]'") from missing

__all__ = ["AsyncTransport", "Transport"]


class _Stream(Stream, httpx2.SyncByteStream):
    pass


class _AsyncStream(AsyncStream, httpx2.AsyncByteStream):
    pass


class Transport(Gate, httpx2.BaseTransport):
    """For `httpx2.Client`."""

    library: ClassVar[Any] = httpx2
    stream: ClassVar[type[Stream]] = _Stream


class AsyncTransport(AsyncGate, httpx2.AsyncBaseTransport):
    """For `httpx2.AsyncClient`."""

    library: ClassVar[Any] = httpx2
    stream: ClassVar[type[AsyncStream]] = _AsyncStream
