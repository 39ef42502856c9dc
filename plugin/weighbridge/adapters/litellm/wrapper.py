"""LiteLLM's ASGI app inside a middleware of ours.

The plugin decides, because it knows who calls; what goes in and out is seen here: refusals are given
in the client's own dialect, answers are metered as bytes, and a client that leaves does not stop an
answer that is billed.
"""

from __future__ import annotations

import asyncio
from typing import Final

import litellm

from weighbridge.adapters.asgi import App, Exhausted, Message, Receive, Scope, Send, answer
from weighbridge.adapters.litellm.haul import CURRENT, Haul, Office
from weighbridge.adapters.litellm.hooks import Plugin
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import Meter
from weighbridge.core.errors import WeighbridgeError
from weighbridge.core.model import CutOff, Ending, NeverSent
from weighbridge.core.outbound import EXHAUSTED
from weighbridge.core.settlement import written

CACHED: Final = "x-litellm-cache-key"
"""The header of answers that LiteLLM had by itself."""
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
            return await self.app(scope, receive, self._living(send))
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        await Crossing(self, receive, send).run(scope)

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

    def __init__(self, gate: Wrapper, receive: Receive, send: Send) -> None:
        self.office = gate.office
        self.app = gate.app
        self.haul = Haul(wrapped=True)
        self._receive = receive
        self._send = send
        self._meter: Meter | None = None
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
            self.haul.cut = self.haul.cut or f"{type(error).__name__} while answering"
            if self.haul.cut != EXHAUSTED or not isinstance(error, Exception):
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
        elif self._meter is not None and message["type"] == "http.response.body":
            message = self._metered(self._meter, message)
        await self._send(message)
        if self._meter is not None and not self._whole:
            self._cover(self._meter)

    def _started(self, message: Message) -> Message:
        ticket = self.haul.ticket
        if ticket is None:
            return message
        self._status = message["status"]
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        names = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        self.haul.cached = self.haul.cached or CACHED in names
        if self._status < 400:
            self._meter = DIALECTS[ticket.call.dialect].meter(ticket.call, names)
        ours = [(name.encode(), value.encode("latin-1")) for name, value in reply.admitted(ticket).items()]
        return {**message, "headers": headers + ours}

    def _metered(self, meter: Meter, message: Message) -> Message:
        chunk = message.get("body", b"")
        passed = meter.feed(chunk) if chunk else b""
        if not message.get("more_body", False):
            self._whole = True
            passed += meter.finish()
        return message if passed is chunk else {**message, "body": passed}

    def _cover(self, meter: Meter) -> None:
        """Hold for more of the answer ahead of need.  Raises Exhausted where it has to end here."""
        coverage, guard = self.haul.coverage, self.office.opened
        if coverage is None or guard is None or coverage.ticket.covered >= coverage.ticket.units:
            return
        seen = written(meter.seen())
        more = coverage.due(seen)
        if more is not None:
            self.office.backstage.extend(guard, coverage, more)
        if coverage.spent(seen):
            self.haul.cut = EXHAUSTED
            raise Exhausted(EXHAUSTED)

    def _ending(self) -> Ending:
        cut = self.haul.cut
        if self._meter is not None:
            return self._meter.ending(cut or ("" if self._whole else "the answer broke off"))
        if self._status >= 400 and not cut:
            return NeverSent(f"answered {self._status}")
        return CutOff(cut or "no answer")
