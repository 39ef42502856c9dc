"""Pure ASGI middleware: weighs a request before the app sees it, meters the answer as it passes.

    app.add_middleware(Weighbridge, store="redis://localhost", identify=who)

Nothing is buffered on the way out; other routes pass through, WebSockets by `realtime.py`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from weighbridge import wiring
from weighbridge.adapters.backstage import Backstage
from weighbridge.adapters.intake import Body, read_body
from weighbridge.adapters.places import (
    App,
    Identify,
    Message,
    Receive,
    Scope,
    Send,
    address,
    live,
    offered,
    readable,
    sender,
)
from weighbridge.adapters.realtime import Setting, session, setting
from weighbridge.core import reply
from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS, added
from weighbridge.core.dialects.addresses import Address
from weighbridge.core.dialects.base import AS_SENT, Dialect
from weighbridge.core.dialects.routes import MEANT, renamed
from weighbridge.core.endings import interrupted
from weighbridge.core.errors import Refused
from weighbridge.core.model import CutOff, Ending, NeverSent, Principal, RawCall
from weighbridge.core.outbound import EXHAUSTED, Outbound, alters
from weighbridge.guard import AsyncGuard
from weighbridge.settings import Settings, load

__all__ = [
    "STOPPED", "App", "Exhausted", "Identify", "Message", "Passage", "Receive", "Scope", "Send", "Weighbridge",
    "answer", "cover", "nobody", "passed",
]  # fmt: skip

STOPPED: Final = "the gateway was shut down"
MEANT_HERE: Final = frozenset(name.encode() for name in MEANT)


class Exhausted(OSError):
    """Raised in the app's hand where a stream outran its hold and policy says to cut it: for the app
    it is as if the client had left."""


class Passage:
    """What the app behind the middleware may know of an admitted request, in `scope["weighbridge"]`."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.cut = ""
        """Set by the app: why the provider's answer is not whole, or (with `sent` False) never came."""
        self.seen: Callable[[], int] = lambda: 0
        """Output tokens that went by so far, by the evidence."""
        self.sent = True
        """Set to False by the app, before its answer ends, where no provider got the request: an answer from a
        cache costs nothing."""
        self._task = asyncio.current_task()

    def end(self, why: str) -> None:
        """Break it off, wherever it stands."""
        self.cut = self.cut or why
        if self._task is not None:
            self._task.cancel()


def nobody(scope: Scope) -> Principal:
    """The identity of requests nobody vouches for."""
    return Principal()


class Weighbridge:
    """The middleware.  `guard`, or what to build one from: `store` (a URL) and `config` (a file).
    `routes`: POST paths of your own -> wire format, beside the usual ones.  Raises ValueError."""

    def __init__(
        self,
        app: App,
        *,
        guard: AsyncGuard | None = None,
        store: str | None = None,
        config: str | None = None,
        identify: Identify = nobody,
        max_body_bytes: int = 32 * 1024 * 1024,
        routes: Mapping[str, str] = {},
        realtime: Setting = "refuse",
    ) -> None:
        if guard is not None and (store or config):
            raise TypeError("give either a guard or the store/config to build one from, not both")
        self.app = app
        self.identify = identify
        self.max_body = max_body_bytes
        self.find = added(routes)
        self.realtime = setting(realtime)
        self._guard = guard
        self._built = guard is None
        self._config = config
        self._store = store
        self._building = asyncio.Lock()
        self.backstage = Backstage()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await live(self.app, scope, receive, send, self._shut)
        if "weighbridge" in scope:
            # One further out has it in hand.
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await session(self, self.realtime, scope, receive, send)
        found = address(self.find, scope)
        if found is None or found.route.kind == "models":
            return await self.app(scope, receive, send)
        await Exchange(self, found, scope, receive, send).run()

    async def guard(self) -> AsyncGuard:
        """The guard, built at the first use where none was given."""
        if self._guard is None:
            async with self._building:
                if self._guard is None:
                    self._guard = await wiring.async_guard(self._settings())
                    self.backstage.start(self._guard)
        return self._guard

    def _settings(self) -> Settings:
        return load(self._config, store=self._store) if self._store else load(self._config)

    async def _shut(self) -> None:
        await self.backstage.drain()
        if self._built and self._guard is not None:
            await self._guard.shut()


class Exchange:
    """One request on its way through: weighed, passed on, metered, closed."""

    def __init__(self, gate: Weighbridge, address: Address, scope: Scope, receive: Receive, send: Send) -> None:
        self.gate = gate
        self.address = address
        self.dialect: Dialect = DIALECTS[address.route.dialect]
        self.scope = scope
        self.receive = receive
        self.send = send
        self.out: Outbound | None = None
        self.status = 0
        self.complete = False
        self.closed = False
        self.headers: dict[str, str] = {}

    async def run(self) -> None:
        """The straight line, as one request walks it."""
        guard = await self.gate.guard()
        try:
            principal = await sender(self.gate.identify, self.scope)
            body = await read_body(self.scope, self.receive, self.gate.max_body)
            raw = self._raw(principal, body)
            if raw.counts:
                return await answer(self.send, reply.counted((await guard.weigh(raw)).estimate, self.dialect))
            ticket = await guard.open(raw)
        except Refused as error:
            return await answer(self.send, reply.refused(error, self.dialect, uuid.uuid4().hex))
        passage = Passage(ticket)
        passage.seen = lambda: self.out.written if self.out is not None else 0
        self.gate.backstage.watch(guard, ticket, passage.end)
        try:
            await self._pass_on(guard, passage, body)
        except BaseException as error:
            passage.cut = passage.cut or interrupted(error)
            # What the app made of our own breaking off is no error of its own.
            if not isinstance(error, self._ours(passage)):
                raise
        finally:
            self._close(guard, passage)
        if passage.cut == STOPPED and not self.status:
            await answer(self.send, reply.stopping(self.dialect, ticket.id))

    def _ours(self, passage: Passage) -> tuple[type[BaseException], ...]:
        """What the app ends with where we broke its call off."""
        exhausted = self.out is not None and self.out.exhausted
        return (Exception,) if exhausted else (asyncio.CancelledError,) if passage.cut == STOPPED else ()

    def _raw(self, principal: Principal, body: Body) -> RawCall:
        route = self.address.route
        return RawCall(
            route.dialect, body.plain, principal, model=route.model, stream=route.stream,
            counts=route.kind == "count", path=self.address.path, headers=_meant(self.scope),
        )  # fmt: skip

    async def _pass_on(self, guard: AsyncGuard, passage: Passage, body: Body) -> None:
        ticket = passage.ticket
        call = ticket.call
        amendment = ticket.amendment
        if amendment != AS_SENT or ticket.weighed.detour != AS_SENT:
            body = body.replaced(self.dialect.amend(ticket.weighed.body, call, amendment))
        self.headers = reply.admitted(ticket)
        headers = readable(body.headers(self.scope["headers"]), packed=not alters(ticket))
        scope = {**self.scope, "headers": headers, "extensions": offered(self.scope), "weighbridge": passage}
        model, named = ticket.weighed.detour.model, self.address.route.model
        if model is not None and named is not None:
            path = renamed(self.scope["path"], named, model)
            scope |= {"path": path, "raw_path": quote(path, safe="/:").encode()}
        await self.gate.app(scope, body.replay(self.receive), self._metered(guard, passage))

    def _metered(self, guard: AsyncGuard, passage: Passage) -> Send:
        ticket = passage.ticket

        async def relay(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = self._started(ticket, message)
            elif message["type"] == "http.response.body" and self.out is not None:
                self.complete |= not message.get("more_body", False)
                message = passed(self.out, message)
                if (seen := self.out.unnoted()) is not None:
                    # Before it goes by: should this process die, it is charged.
                    guard.note(ticket, seen)
            await self.send(message)
            if self.out is not None:
                await cover(self.gate.backstage, guard, self.out, self.send)
            if self.complete:
                # Whatever the app does behind its answer, nothing needs to be held for it.
                self._close(guard, passage)

        return relay

    def _close(self, guard: AsyncGuard, passage: Passage) -> None:
        if not self.closed:
            self.closed = True
            ended = passage.ticket if self.out is None else self.out.ticket
            self.gate.backstage.close(guard, ended, self._ending(passage))

    def _started(self, ticket: Ticket, message: Message) -> Message:
        self.status = message["status"]
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        if 200 <= self.status < 300:
            self.out = Outbound(ticket, {name.decode("latin-1"): value.decode("latin-1") for name, value in headers})
        if alters(ticket):
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        ours = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return {**message, "headers": headers + ours}

    def _ending(self, passage: Passage) -> Ending:
        if not passage.sent:
            return NeverSent(passage.cut or "answered without a provider")
        if self.out is not None:
            return self.out.ending(passage.cut or ("" if self.complete else "the answer broke off"))
        if self.status and not passage.cut:
            return NeverSent(f"answered {self.status}")
        return CutOff(passage.cut or "no answer")


def passed(out: Outbound, message: Message) -> Message:
    """A piece of an answer as it goes on to the client.  Raises Exhausted where nothing may follow."""
    if out.ended:
        raise Exhausted(EXHAUSTED)
    chunk = message.get("body", b"")
    body = out.feed(chunk)
    if not message.get("more_body", False):
        body += out.finish()
    if out.told:
        return {**message, "body": body, "more_body": False}
    return message if body is chunk else {**message, "body": body}


async def cover(backstage: Backstage, guard: AsyncGuard, out: Outbound, send: Send) -> None:
    """Hold for more of an answer ahead of need.  Raises Exhausted where it ends here."""
    more = out.due()
    if more is not None:
        backstage.extend(guard, out, more)
    last = out.stop()
    if last is not None:
        await send({"type": "http.response.body", "body": last})
    if out.ended:
        raise Exhausted(EXHAUSTED)


async def answer(send: Send, ours: reply.Reply) -> None:
    """Send an answer of weighbridge's own."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in ours.headers.items()]
    headers.append((b"content-length", str(len(ours.body)).encode()))
    await send({"type": "http.response.start", "status": ours.status, "headers": headers})
    await send({"type": "http.response.body", "body": ours.body})


def _meant(scope: Scope) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in MEANT_HERE}
