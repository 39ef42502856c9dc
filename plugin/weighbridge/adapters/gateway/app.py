"""The gateway: the middleware, with a forwarder behind it."""

from __future__ import annotations

import asyncio
import gc
import uuid
from typing import Final

from weighbridge import wiring
from weighbridge.adapters.asgi import STOPPED, App, Passage, Receive, Scope, Send, Weighbridge, answer
from weighbridge.adapters.gateway.curfew import Curfew
from weighbridge.adapters.gateway.forward import Forwarder
from weighbridge.adapters.gateway.house import house
from weighbridge.adapters.gateway.identity import Doorkeeper
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS, route
from weighbridge.core.dialects.addresses import spoken, unmetered
from weighbridge.core.errors import Refused, WeighbridgeError
from weighbridge.settings import Settings

DOTS: Final = frozenset((".", ".."))
ALIVE: Final = "/health/live"
HOUSE: Final = ("/health/", "/weighbridge/")
API: Final = ("/v1/", "/v1beta/")


class Gateway:
    """An ASGI app.  Opens its store and its connections at start-up and closes them at shutdown.

    `signals`: asked to stop (SIGTERM, SIGINT), refuse new calls and let open ones end before the server
    hears of it.  For a server that runs it in its main thread."""

    def __init__(self, settings: Settings, *, signals: bool = False) -> None:
        self._signals = signals
        self._curfew: Curfew | None = None
        self._settings = settings
        self._forwarder = Forwarder(settings.streams)
        self._front: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] == "http":
            assert self._front is not None, "requests come after start-up"
            if self._curfew is not None and self._curfew.begun and scope["path"] != ALIVE:
                return await answer(send, reply.stopping(DIALECTS[_dialect(scope)], uuid.uuid4().hex))
            if not DOTS.isdisjoint(scope["path"].split("/")):
                # A provider may resolve the dots, and then answer a route that was never let through.
                return await answer(send, _refused(_no_route(scope), spoken(scope["path"])))
            return await self._front(scope, receive, send)
        await send({"type": "websocket.close", "code": 1008, "reason": "weighbridge meters HTTP only"})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            guard = await wiring.async_guard(self._settings)
            await asyncio.to_thread(wiring.warm)
        except WeighbridgeError as error:
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        self._doorkeeper = Doorkeeper(self._settings, guard)
        most = self._settings.limits.max_body_bytes
        self._house = house(guard, self._doorkeeper.identify, most)
        front = Weighbridge(self._behind, guard=guard, identify=self._doorkeeper.identify, max_body_bytes=most)
        await self._forwarder.start()
        front.backstage.start(guard)
        self._front = front
        if self._signals:
            seconds = self._settings.limits.shutdown_seconds
            self._curfew = Curfew(lambda: front.backstage.finish(seconds, STOPPED))
            self._curfew.listen()
        # What was built so far stays for good: the collector need not walk it again and again.
        gc.collect()
        gc.freeze()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await front.backstage.drain()
        await self._forwarder.stop()
        await guard.shut()
        await send({"type": "lifespan.shutdown.complete"})

    async def _behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        passage = scope.get("weighbridge")
        if passage is not None:
            return await self._metered(passage, scope, receive, send)
        if scope["path"].startswith(HOUSE):
            return await self._house(scope, receive, send)
        await self._unmetered(scope, receive, send)

    async def _metered(self, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
        dialect = passage.ticket.call.dialect
        provider = self._settings.providers.get(passage.ticket.weighed.provider)
        if provider is None:
            return await answer(send, reply.refused(_no_provider(dialect), DIALECTS[dialect], passage.ticket.id))
        await self._forwarder.forward(scope, receive, send, provider, dialect, passage)

    async def _unmetered(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Model lists are forwarded; anything else only where the settings say so."""
        path, dialect = route(scope["method"], scope["path"], ""), _dialect(scope)
        try:
            await self._doorkeeper.identify(scope)
            if path is None and (self._settings.unmetered_routes == "refuse" or not scope["path"].startswith(API)):
                raise _not_metered(scope)
            provider = self._settings.provider_for(dialect, "")
            if provider is None:
                raise _no_provider(dialect)
        except Refused as error:
            return await answer(send, _refused(error, dialect))
        await self._forwarder.forward(scope, receive, send, provider, dialect, None)


def _dialect(scope: Scope) -> str:
    path = route(scope["method"], scope["path"], "")
    return path.dialect if path else spoken(scope["path"])


def _refused(error: Refused, dialect: str) -> reply.Reply:
    return reply.refused(error, DIALECTS[dialect], uuid.uuid4().hex)


def _where(scope: Scope) -> str:
    return f"{scope['method']} {scope['path'][:80]}"


def _no_route(scope: Scope) -> Refused:
    return Refused("not_found", f"{_where(scope)} is no route of this gateway.")


def _not_metered(scope: Scope) -> Refused:
    if not scope["path"].startswith(API):
        return _no_route(scope)
    return unmetered(scope["method"], scope["path"])


def _no_provider(dialect: str) -> Refused:
    return Refused(
        "not_found",
        f"No provider is configured for {dialect}. Set its key variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, "
        "GEMINI_API_KEY) or add it under `providers:`.",
    )
