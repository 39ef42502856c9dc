"""LiteLLM's ASGI app inside a middleware of ours.

The plugin decides, because it knows who calls; what goes in and out is seen here: refusals are given
in the client's own dialect, answers are metered as bytes, and a client that leaves does not stop an
answer that is billed.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

import litellm
from litellm.proxy.auth.route_checks import RouteChecks
from litellm.proxy.utils import get_server_root_path

from weighbridge.adapters.asgi import App, Message, Receive, Scope, Send, answer, cover, passed
from weighbridge.adapters.litellm import usage
from weighbridge.adapters.litellm.haul import CURRENT, Haul, Office
from weighbridge.adapters.litellm.hooks import Plugin
from weighbridge.adapters.litellm.unmetered import UNSEEN, hooks_weigh, path_passes
from weighbridge.adapters.realtime import refuse
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.addresses import spoken, unmetered
from weighbridge.core.endings import interrupted
from weighbridge.core.errors import WeighbridgeError
from weighbridge.core.model import CutOff, Ending, NeverSent
from weighbridge.core.outbound import Outbound, alters

CACHED: Final = "x-litellm-cache-key"
"""The header of answers that LiteLLM had by itself."""
SESSIONS: Final = "sessions are not metered here: set unmetered_routes: forward to let them pass"
OFFICE: Final = Office()
PLUGIN: Final = Plugin(OFFICE)


def app() -> App:
    """LiteLLM's app, wrapped.  Its configuration is where CONFIG_FILE_PATH says."""
    from litellm.proxy.proxy_server import app as inner

    return Wrapper(inner, PLUGIN)


class Wrapper:
    """The middleware around LiteLLM."""

    def __init__(self, app: App, plugin: Plugin) -> None:
        self.app = app
        self.plugin = plugin
        self.office = plugin.office

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._live(scope, receive, send)
        if not self._passes(scope):
            return await _turn_away(scope, receive, send)
        if scope["type"] != "http" or scope["method"] != "POST":
            CURRENT.set(Haul(False, scope.get("method", ""), scope["path"]))
            return await self.app(scope, receive, send)
        await Crossing(self, scope["path"], receive, send).run(scope)

    def _passes(self, scope: Scope) -> bool:
        """Whether a request runs no model, or the hooks see it, or settings let it pass.  What is no
        route of models in LiteLLM's own eyes passes."""
        if self.office.settings.unmetered_routes == "forward":
            return True
        if scope["type"] == "websocket":
            return False
        path = scope["path"].removeprefix(get_server_root_path().rstrip("/"))
        if hooks_weigh(path) or path_passes(scope["method"], path):
            return True
        return path not in UNSEEN and not RouteChecks.is_llm_api_route(path)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self.office.check()
        except WeighbridgeError as error:
            # Before LiteLLM begins: what it has begun by then would end in tracebacks.
            await receive()
            return await send({"type": "lifespan.startup.failed", "message": str(error)})
        await self.app(scope, receive, self._living(send))

    def _living(self, send: Send) -> Send:
        async def relay(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                if self.plugin not in litellm.callbacks:
                    litellm.logging_callback_manager.add_litellm_callback(self.plugin)
                try:
                    await self.office.guard()
                except WeighbridgeError as error:
                    message = {"type": "lifespan.startup.failed", "message": str(error)}
            if message["type"] == "lifespan.shutdown.complete":
                await self.office.close()
            await send(message)

        return relay


class Crossing:
    """One request through the wrapper."""

    def __init__(self, gate: Wrapper, path: str, receive: Receive, send: Send) -> None:
        self.office = gate.office
        self.app = gate.app
        self.haul = Haul(True, "POST", path)
        self._receive = receive
        self._send = send
        self._status = 0
        self._whole = False
        self._left_at: float | None = None
        self._refused = False

    async def run(self, scope: Scope) -> None:
        """Pass it on, and settle when the answer has ended."""
        was = CURRENT.set(self.haul)
        try:
            await self.app(scope, self._shielded, self._relay)
        except BaseException as error:
            self.haul.cut = self.haul.cut or interrupted(error)
            # What LiteLLM made of our own breaking off is no error of its own.
            ours = self.haul.out is not None and self.haul.out.exhausted
            if not ours or not isinstance(error, Exception):
                raise
        finally:
            CURRENT.reset(was)
            self.office.end(self.haul, self._ending())

    async def _shielded(self) -> Message:
        """What the client sends; that it left is told late, so that the usage at the end is seen."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and self.haul.ticket is not None and not self._whole:
            await asyncio.sleep(self._patience())
        return message

    def _patience(self) -> float:
        streams, now = self.office.settings.streams, asyncio.get_running_loop().time()
        self._left_at = self._left_at or now
        return max(0.0, self._left_at + streams.drain_seconds - now) if streams.on_disconnect == "drain" else 0.0

    async def _relay(self, message: Message) -> None:
        if self.haul.refusal is not None:
            if not self._refused:
                self._refused = True
                await answer(self._send, self.haul.refusal)
            return
        if message["type"] == "http.response.start":
            message = self._started(message)
        elif self.haul.out is not None and message["type"] == "http.response.body":
            message = self._metered(self.haul.out, message)
        await self._send(message)
        guard = self.office.opened
        if self.haul.out is not None and guard is not None:
            await cover(self.office.backstage, guard, self.haul.out, self._send)

    def _started(self, message: Message) -> Message:
        ticket = self.haul.ticket
        if ticket is None:
            return message
        self._status = message["status"]
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        self.haul.cached = self.haul.cached or CACHED in names
        if self._status < 400:
            self.haul.out = Outbound(ticket, names)
        if alters(ticket):
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        ours = [(name.encode(), value.encode("latin-1")) for name, value in reply.admitted(ticket).items()]
        return {**message, "headers": headers + ours}

    def _metered(self, out: Outbound, message: Message) -> Message:
        self._whole |= not message.get("more_body", False)
        message = passed(out, message)
        guard, seen = self.office.opened, out.unnoted()
        if guard is not None and seen is not None:
            # Before it goes by: should this process die, it is charged.
            guard.note(out.ticket, seen)
        return message

    def _ending(self) -> Ending:
        cut = self.haul.cut
        if self.haul.out is not None:
            return usage.ending(self.haul.out, cut or ("" if self._whole else "the answer broke off"))
        if self._status >= 400 and not cut:
            return NeverSent(f"answered {self._status}")
        return CutOff(cut or "no answer")


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse what cannot be metered."""
    if scope["type"] == "websocket":
        return await refuse(receive, send, SESSIONS)
    error = unmetered(scope["method"], scope["path"])
    await answer(send, reply.refused(error, DIALECTS[spoken(scope["path"])], uuid.uuid4().hex))
