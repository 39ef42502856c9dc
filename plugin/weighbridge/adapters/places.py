"""Where in an app a request is, who sends it, and when the app begins and ends: what an ASGI scope leaves open.

A middleware sees a path before the framework does, which may be mounted below it and lenient with slashes:
whatever the framework finds a route for must have been weighed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from typing import Any, Final

from weighbridge.core.dialects.addresses import Address
from weighbridge.core.dialects.routes import RouteOf
from weighbridge.core.errors import Refused
from weighbridge.core.model import Principal
from weighbridge.core.tags import HEADER, tagged

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Scope], Principal | Awaitable[Principal | None] | None]

UNSEEN: Final = frozenset(("http.response.pathsend", "http.response.zerocopysend"))
"""Extensions with which a server sends what no middleware sees."""
SLASHES: Final = re.compile("/{2,}")


def address(find: RouteOf, scope: Scope) -> Address | None:
    """The route a request is on, however it is spelt; None where no format is known."""
    method = scope["method"].upper()
    return next((Address(found, path) for path in spellings(scope) if (found := find(method, path))), None)


def spellings(scope: Scope) -> Iterator[str]:
    """The path as a framework may read it: below what it is mounted at, and with slashes it makes nothing of."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    below = path.removeprefix(root) if path.startswith(root + "/") else path
    for whole in dict.fromkeys((below, path)):
        yield whole
        bare = SLASHES.sub("/", whole).rstrip("/")
        # Every request of the app comes by here: what was looked for is not looked for again.
        yield from (spelt for spelt in (bare, bare + "/") if spelt != whole)


def offered(scope: Scope) -> dict[str, Any]:
    """The server's extensions, but for those that go around the middleware."""
    return {name: how for name, how in (scope.get("extensions") or {}).items() if name not in UNSEEN}


def readable(headers: Iterable[tuple[bytes, bytes]], packed: bool) -> list[tuple[bytes, bytes]]:
    """Request headers that ask for an answer that can be metered: gzip can be read on the way, br and zstd
    cannot.  `packed`: whether the answer may be packed at all."""
    headers = list(headers)
    kept = [(name, value) for name, value in headers if name != b"accept-encoding"]
    gzip = packed and any(name == b"accept-encoding" and b"gzip" in value for name, value in headers)
    return [*kept, (b"accept-encoding", b"gzip")] if gzip else kept


async def sender(identify: Identify, scope: Scope) -> Principal:
    """Who sends a request, with the tags it brings.  Raises Refused, also where `identify` found nobody or
    misses what it looks for."""
    try:
        found = identify(scope)
        who = await found if inspect.isawaitable(found) else found
    except LookupError as error:
        raise Refused("unknown_key", f"Nobody can tell who sends this request: {error} is missing.") from error
    except UnicodeDecodeError as error:
        raise Refused("unknown_key", "Nobody can tell who sends this request: it says so in no UTF-8.") from error
    if who is None:
        raise Refused("unknown_key", "Nobody can tell who sends this request.")
    return tagged(who, dict(scope["headers"]).get(HEADER.encode(), b"").decode("latin-1"))


async def live(app: App, scope: Scope, receive: Receive, send: Send, ended: Callable[[], Awaitable[None]]) -> None:
    """The app's lifespan, and `ended` before the server hears of its end.  An app that has none lets the
    server's words go by; then they are answered here."""
    asked = False

    async def hear() -> Message:
        nonlocal asked
        asked = True
        return await receive()

    async def relay(message: Message) -> None:
        if message["type"] == "lifespan.shutdown.complete":
            await ended()
        await send(message)

    try:
        await app(scope, hear, relay)
    except Exception:
        # Raised before it asked for a word, it says that it knows no lifespans.
        if asked:
            raise
    if not asked:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await relay({"type": "lifespan.shutdown.complete"})
