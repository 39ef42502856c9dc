"""Pure ASGI middleware: weighs a request before the app sees it, meters the answer as it passes.

    app.add_middleware(Weighbridge, store="redis://localhost", identify=who)

Nothing is buffered on the way out; other routes pass through, WebSockets by `realtime.py`.
"""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import quote

from weighbridge import wiring
from weighbridge.adapters.backstage import Backstage
from weighbridge.adapters.intake import Body, read_body
from weighbridge.adapters.realtime import Setting, session, setting
from weighbridge.core import reply
from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS, Route, added
from weighbridge.core.dialects.base import AS_SENT, Dialect
from weighbridge.core.dialects.routes import MEANT, renamed
from weighbridge.core.errors import Refused
from weighbridge.core.model import CutOff, Ending, NeverSent, Principal, RawCall
from weighbridge.core.outbound import EXHAUSTED, Outbound, alters
from weighbridge.guard import AsyncGuard
from weighbridge.settings import Settings, load

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Scope], Principal | Awaitable[Principal]]

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
        """Set to False by the app where the provider certainly never got the request."""
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
            return await self.app(scope, receive, self._settling(send))
        if scope["type"] == "websocket":
            return await session(self, self.realtime, scope, receive, send)
        path = self.find(scope["method"], scope["path"])
        if path is None or path.kind == "models":
            return await self.app(scope, receive, send)
        await Exchange(self, path, scope, receive, send).run()

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

    def _settling(self, send: Send) -> Send:
        async def relay(message: Message) -> None:
            if message["type"] == "lifespan.shutdown.complete":
                await self.backstage.drain()
                if self._built and self._guard is not None:
                    await self._guard.shut()
            await send(message)

        return relay


class Exchange:
    """One request on its way through: weighed, passed on, metered, closed."""

    def __init__(self, gate: Weighbridge, path: Route, scope: Scope, receive: Receive, send: Send) -> None:
        self.gate = gate
        self.path = path
        self.dialect: Dialect = DIALECTS[path.dialect]
        self.scope = scope
        self.receive = receive
        self.send = send
        self.out: Outbound | None = None
        self.status = 0
        self.complete = False
        self.headers: dict[str, str] = {}

    async def run(self) -> None:
        """The straight line, as one request walks it."""
        guard = await self.gate.guard()
        try:
            principal = await self._who()
            body = await read_body(self.scope, self.receive, self.gate.max_body)
            raw = RawCall(
                self.path.dialect, body.plain, principal, model=self.path.model, stream=self.path.stream,
                counts=self.path.kind == "count", path=self.scope["path"], headers=_meant(self.scope),
            )  # fmt: skip
            if raw.counts:
                return await answer(self.send, reply.counted((await guard.weigh(raw)).estimate, self.dialect))
            ticket = await guard.open(raw)
        except Refused as error:
            return await answer(self.send, reply.refused(error, self.dialect, uuid.uuid4().hex))
        passage = Passage(ticket)
        self.gate.backstage.watch(guard, ticket, passage.end)
        passage.seen = lambda: self.out.written if self.out is not None else 0
        try:
            await self._pass_on(guard, passage, body)
        except BaseException as error:
            passage.cut = passage.cut or f"{type(error).__name__} while answering"
            # What the app made of our own breaking off is no error of its own.
            if not isinstance(error, self._our_doing(passage)):
                raise
        finally:
            ended = ticket if self.out is None else self.out.ticket
            self.gate.backstage.close(guard, ended, self._ending(passage))
        if passage.cut == STOPPED and not self.status:
            await answer(self.send, reply.stopping(self.dialect, ticket.id))

    async def _who(self) -> Principal:
        found = self.gate.identify(self.scope)
        return await found if inspect.isawaitable(found) else found

    async def _pass_on(self, guard: AsyncGuard, passage: Passage, body: Body) -> None:
        ticket = passage.ticket
        call = ticket.call
        amendment = ticket.amendment
        if amendment != AS_SENT or ticket.weighed.detour != AS_SENT:
            body = body.replaced(self.dialect.amend(ticket.weighed.body, call, amendment))
        self.headers = reply.admitted(ticket)
        scope = {**self.scope, "headers": body.headers(self.scope["headers"]), "weighbridge": passage}
        if alters(ticket):
            scope["headers"] = [item for item in scope["headers"] if item[0] != b"accept-encoding"]
        other = ticket.weighed.detour.model
        if other is not None and self.path.model is not None:
            path = renamed(self.scope["path"], self.path.model, other)
            scope.update(path=path, raw_path=quote(path, safe="/:").encode())
        await self.gate.app(scope, body.replay(self.receive), self._metered(guard, ticket))

    def _metered(self, guard: AsyncGuard, ticket: Ticket) -> Send:
        async def relay(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = self._started(ticket, message)
            elif message["type"] == "http.response.body" and self.out is not None:
                message = self._weighed(self.out, message)
                due = self.out.wake()
                if due is not None:
                    guard.note(ticket, due)
            await self.send(message)
            if self.out is not None:
                await self._cover(guard, self.out)

        return relay

    async def _cover(self, guard: AsyncGuard, out: Outbound) -> None:
        """Hold for more of the answer ahead of need.  Raises Exhausted where it ends here."""
        more = out.due()
        if more is not None:
            self.gate.backstage.extend(guard, out, more)
        last = out.stop()
        if last is not None:
            await self.send({"type": "http.response.body", "body": last})
        if out.ended:
            raise Exhausted(EXHAUSTED)

    def _started(self, ticket: Ticket, message: Message) -> Message:
        self.status = message["status"]
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        if self.status < 400:
            self.out = Outbound(ticket, {name.decode("latin-1"): value.decode("latin-1") for name, value in headers})
        if alters(ticket):
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        ours = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return {**message, "headers": headers + ours}

    def _weighed(self, out: Outbound, message: Message) -> Message:
        if out.ended:
            raise Exhausted(EXHAUSTED)
        chunk = message.get("body", b"")
        passed = out.feed(chunk)
        if not message.get("more_body", False):
            self.complete = True
            passed += out.finish()
        if out.told:
            return {**message, "body": passed, "more_body": False}
        return message if passed is chunk else {**message, "body": passed}

    def _our_doing(self, passage: Passage) -> tuple[type[BaseException], ...]:
        """What the app ends with where we broke the call off ourselves."""
        exhausted = self.out is not None and self.out.exhausted
        stopped = passage.cut == STOPPED
        return (Exception,) * exhausted + (asyncio.CancelledError,) * stopped

    def _ending(self, passage: Passage) -> Ending:
        if self.out is not None:
            return self.out.ending(passage.cut or ("" if self.complete else "the answer broke off"))
        if self.status >= 400 and not passage.cut:
            return NeverSent(f"answered {self.status}")
        return CutOff(passage.cut or "no answer") if passage.sent else NeverSent(passage.cut)


async def answer(send: Send, ours: reply.Reply) -> None:
    """Send an answer of weighbridge's own."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in ours.headers.items()]
    headers.append((b"content-length", str(len(ours.body)).encode()))
    await send({"type": "http.response.start", "status": ours.status, "headers": headers})
    await send({"type": "http.response.body", "body": ours.body})


def _meant(scope: Scope) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in MEANT_HERE}
