"""The gateway: the middleware, with a forwarder behind it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

from weighbridge import wiring
from weighbridge.adapters.asgi import App, Passage, Receive, Scope, Send, Weighbridge, answer
from weighbridge.adapters.gateway.forward import Forwarder
from weighbridge.adapters.gateway.house import house
from weighbridge.adapters.gateway.identity import Doorkeeper
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS, route
from weighbridge.core.errors import Refused, WeighbridgeError
from weighbridge.settings import Settings

HOUSE: Final = ("/health/", "/weighbridge/")
API: Final = ("/v1/", "/v1beta/")
SPOKEN: Final = (("/v1/messages", "anthropic-messages"), ("/v1beta/", "gemini-generate"))
"""Whose words a route that is no known one is refused in; OpenAI's elsewhere."""


class Gateway:
    """An ASGI app.  Opens its store and its connections at start-up and closes them at shutdown."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._forwarder = Forwarder(settings.streams)
        self._front: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._lifespan(receive, send)
        if scope["type"] == "http":
            assert self._front is not None, "requests come after start-up"
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
        self._front = front
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await front.drain()
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
        path = route(scope["method"], scope["path"], "")
        dialect = path.dialect if path else _spoken(scope["path"])
        try:
            await self._doorkeeper.identify(scope)
            if path is None and (self._settings.unmetered_routes == "refuse" or not scope["path"].startswith(API)):
                raise _not_metered(scope)
            provider = self._settings.provider_for(dialect, "")
            if provider is None:
                raise _no_provider(dialect)
        except Refused as error:
            return await answer(send, reply.refused(error, DIALECTS[dialect], uuid.uuid4().hex))
        await self._forwarder.forward(scope, receive, send, provider, dialect, None)


def _spoken(path: str) -> str:
    return next((dialect for prefix, dialect in SPOKEN if path.startswith(prefix)), "openai-chat")


def _not_metered(scope: Scope) -> Refused:
    where = f"{scope['method']} {scope['path'][:80]}"
    if not scope["path"].startswith(API):
        return Refused("not_found", f"{where} is no route of this gateway.")
    return Refused("unmetered", f"{where} cannot be metered. Set unmetered_routes: forward to let it pass unmetered.")


def _no_provider(dialect: str) -> Refused:
    return Refused(
        "not_found",
        f"No provider is configured for {dialect}. Set its key variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, "
        "GEMINI_API_KEY) or add it under `providers:`.",
    )
