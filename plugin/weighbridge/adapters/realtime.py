"""Realtime sessions over WebSocket: refused, passed on, or metered answer by answer.

A session has no end that could be held for.  So one answer is held at a time, at its worst case, and
charged by the usage its last event reports; when the next one finds no room, the session is closed.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, Final, Literal, Protocol
from urllib.parse import parse_qs

from weighbridge.adapters.backstage import Backstage
from weighbridge.adapters.places import App, Identify, Message, Receive, Scope, Send, sender, spellings
from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.body import decode
from weighbridge.core.errors import Refused, StoreError
from weighbridge.core.model import CutOff, Ending, NeverSent, Principal, RawCall, Reported
from weighbridge.guard import AsyncGuard

Setting = Literal["refuse", "meter", "pass"]
SETTINGS: Final = ("refuse", "meter", "pass")
DIALECT: Final = DIALECTS["openai-responses"]
"""Whose words a realtime answer's usage is in."""
PATHS: Final = (
    (re.compile(r"/v1/(realtime|responses)"), True),
    (re.compile(r"/ws/google\.ai\.generativelanguage\.\w+\.GenerativeService\.BidiGenerateContent\w*"), False),
)
"""Paths of realtime APIs, and whether their answers can be metered."""
BEGINS: Final = "response.created"
ENDS: Final = ("response.done", "response.completed", "response.incomplete", "response.failed")
LONGEST_REASON: Final = 120
"""Bytes of a WebSocket's closing reason, at most 123."""
POLICY_VIOLATION: Final = 1008


class Gate(Protocol):
    """What a session needs of the middleware."""

    app: App
    identify: Identify
    backstage: Backstage

    async def guard(self) -> AsyncGuard:
        """The guard."""


def setting(value: Setting) -> Setting:
    """The setting.  Raises ValueError for none of them."""
    if value not in SETTINGS:
        raise ValueError(f"realtime must be refuse, meter or pass, not {value!r}")
    return value


class SessionOver(OSError):
    """Raised in the app's hand where its session was closed: as if the client had left."""


async def session(gate: Gate, setting: Setting, scope: Scope, receive: Receive, send: Send) -> None:
    """One WebSocket, by the middleware's setting; one that is no realtime API's passes."""
    metered = next((metered for path in spellings(scope) for known, metered in PATHS if known.fullmatch(path)), None)
    if metered is None or setting == "pass":
        return await gate.app(scope, receive, send)
    model = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("model", [""])[0]
    if setting == "refuse":
        return await refuse(receive, send, "realtime sessions are not metered here")
    if not metered or not model:
        return await refuse(receive, send, "this realtime session cannot be metered")
    await Session(gate, model, scope, send).run(receive)


class Session:
    """A session that is metered."""

    def __init__(self, gate: Gate, model: str, scope: Scope, send: Send) -> None:
        self.gate = gate
        self.scope = scope
        self.send = send
        self.model = model
        self.body = json.dumps({"model": model, "input": "", "stream": True}).encode()
        self.who = Principal()
        self.ticket: Ticket | None = None
        self.seen: int | None = None
        """Bytes of the answer under way; None between answers."""
        self.over = False

    async def run(self, receive: Receive) -> None:
        """Hold, pass on, settle."""
        guard = await self.gate.guard()
        try:
            self.who = await sender(self.gate.identify, self.scope)
            self.ticket = await self._hold(guard)
        except Refused as error:
            return await refuse(receive, self.send, error.message)
        try:
            scope = {**self.scope, "weighbridge": self}
            await self.gate.app(scope, lambda: self._heard(receive), lambda message: self._sent(guard, message))
        except Exception:
            # What the app made of a session that we closed is no error of its own.
            if not self.over:
                raise
        finally:
            if self.ticket is not None:
                self.gate.backstage.close(guard, self.ticket, self._ending())

    async def _hold(self, guard: AsyncGuard) -> Ticket:
        ticket = await guard.open(RawCall(DIALECT.name, self.body, self.who, path=self.scope["path"]))
        # People may be silent for longer than a lease.
        self.gate.backstage.watch(guard, ticket)
        return ticket

    async def _heard(self, receive: Receive) -> Message:
        """A message of the client's on its way to the app."""
        message = await receive()
        try:
            if message["type"] == "websocket.receive" and not {self.model} >= _models(_text(message)):
                raise Refused("model_not_allowed", "a metered session has one model, that of its address")
        except Refused as error:
            await self._close(error.message)
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        return message

    async def _close(self, why: str) -> None:
        self.over = True
        await self.send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": _short(why)})

    async def _sent(self, guard: AsyncGuard, message: Message) -> None:
        """A message of the app's on its way to the client."""
        if self.over:
            raise SessionOver("the session is closed")
        await self.send(message)
        text = _text(message)
        if message["type"] != "websocket.send" or not text:
            return
        if self.seen is not None:
            self.seen += len(text)
        kind = _kind(text)
        if kind == BEGINS:
            self.seen = 0
        elif kind in ENDS:
            await self._next(guard, text)

    async def _next(self, guard: AsyncGuard, text: str) -> None:
        """Charge an answer, and hold for the one to come."""
        usage = DIALECT.usage(json.loads(text))
        ending = self._ending() if usage is None else Reported(usage)
        ticket, self.ticket, self.seen = self.ticket, None, None
        if ticket is not None:
            guard.keeper.let_go(ticket)
            with suppress(StoreError):  # told to every hook, and kept to be repeated
                await guard.close(ticket, ending)
        try:
            self.ticket = await self._hold(guard)
        except Refused as error:
            await self._close(error.message)
            raise SessionOver(error.message) from None

    def _ending(self) -> Ending:
        if self.seen is None:
            return NeverSent("the session ended between two answers")
        return CutOff("the session ended in an answer", seen_bytes=self.seen, seen_events=1)


def _text(message: Message) -> str:
    return message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")


def _event(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _kind(text: str) -> str:
    """An event's type.  Most events are sound in base64: only those that matter are read."""
    return str(_event(text).get("type", "")) if any(f'"{kind}"' in text for kind in (BEGINS, *ENDS)) else ""


def _models(text: str) -> set[str]:
    """The models an event of the client's asks for; of sound and most other events, none.  Raises Refused for
    one that may be read differently elsewhere."""
    if "model" not in text.lower() and "\\u" not in text:
        return set()
    event = decode(text.encode("utf-8", "replace"))
    places = (event, event.get("response"), event.get("session"))
    return {str(place["model"]) for place in places if isinstance(place, dict) and place.get("model") is not None}


async def refuse(receive: Receive, send: Send, why: str) -> None:
    """Close a session before it is accepted: servers answer 403."""
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": _short(why)})


def _short(reason: str) -> str:
    return reason.encode()[:LONGEST_REASON].decode("utf-8", "ignore")
