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
from weighbridge.core.dialects.base import AS_SENT, Dialect, Meter
from weighbridge.core.dialects.curtain import Curtain, curtain
from weighbridge.core.dialects.routes import renamed
from weighbridge.core.errors import Refused
from weighbridge.core.extension import Coverage
from weighbridge.core.model import Call, CutOff, Ending, NeverSent, Principal, RawCall
from weighbridge.core.settlement import Wake, conservative, written
from weighbridge.guard import AsyncGuard
from weighbridge.settings import Settings, load

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Identify = Callable[[Scope], Principal | Awaitable[Principal]]

EXHAUSTED: Final = "the budget ran out while it was answered"
STOPPED: Final = "the gateway was shut down"
MEANT: Final = (b"anthropic-version", b"anthropic-beta")
"""Request headers that change what a body means."""


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
        self.meter: Meter | None = None
        self.coverage: Coverage | None = None
        self.curtain: Curtain | None = None
        self.status = 0
        self.complete = False
        self.wake: Wake | None = None
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
        passage, coverage = Passage(ticket), Coverage(ticket)
        self.gate.backstage.watch(guard, ticket, passage.end)
        self.wake = Wake(ticket) if ticket.call.stream else None
        passage.seen = lambda: written(self.meter.seen()) if self.meter is not None else 0
        if ticket.covered < ticket.units:
            self.coverage = coverage
        try:
            await self._pass_on(guard, passage, body)
        except BaseException as error:
            passage.cut = passage.cut or f"{type(error).__name__} while answering"
            # What the app made of our own breaking off is no error of its own.
            if passage.cut not in OURS or not isinstance(error, OURS[passage.cut]):
                raise
        finally:
            self.gate.backstage.close(guard, coverage.ticket, self._ending(passage))
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
        if amendment.ask_usage or (self.coverage is not None and self.coverage.cuts):
            # The usage event asked for is taken out again, an end may be put in: a compressed stream forbids both.
            scope["headers"] = [item for item in scope["headers"] if item[0] != b"accept-encoding"]
        model = ticket.weighed.detour.model
        if model is not None and self.path.model is not None:
            path = renamed(self.scope["path"], self.path.model, model)
            scope |= {"path": path, "raw_path": quote(path, safe="/:").encode()}
        await self.gate.app(scope, body.replay(self.receive), self._metered(guard, passage))

    def _metered(self, guard: AsyncGuard, passage: Passage) -> Send:
        async def relay(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = self._started(passage.ticket.call, message)
            elif message["type"] == "http.response.body" and self.meter is not None:
                message = self._curtained(self._metered_body(self.meter, message))
                self._note(guard, passage.ticket, self.meter)
            await self.send(message)
            if self.coverage is not None and self.meter is not None and not self.complete:
                await self._cover(guard, self.coverage, self.meter, passage)

        return relay

    def _note(self, guard: AsyncGuard, ticket: Ticket, meter: Meter) -> None:
        """Write down what goes by before it does: should this process die, it is charged."""
        due = self.wake.due(meter.seen()) if self.wake is not None and not self.complete else None
        if due is not None:
            guard.note(ticket, due)

    async def _cover(self, guard: AsyncGuard, coverage: Coverage, meter: Meter, passage: Passage) -> None:
        """Hold for more of the answer ahead of need.  Raises Exhausted where it has to end here, and once
        the client has its last words."""
        seen = meter.seen()
        more = coverage.due(written(seen))
        if more is not None:
            self.gate.backstage.extend(guard, coverage, more)
        if not passage.cut and coverage.spent(written(seen)):
            passage.cut = EXHAUSTED
            last = self.curtain.fall(conservative(coverage.ticket, seen)) if self.curtain is not None else b""
            if self.curtain is not None and self.curtain.fallen:
                await self.send({"type": "http.response.body", "body": last})
        if passage.cut == EXHAUSTED and (self.curtain is None or self.curtain.fallen):
            raise Exhausted(EXHAUSTED)

    def _curtained(self, message: Message) -> Message:
        """The message, with the last words in it where the answer ends here."""
        if self.curtain is None:
            return message
        if self.curtain.fallen:
            raise Exhausted(EXHAUSTED)
        passed = self.curtain.feed(message.get("body", b""))
        return {**message, "body": passed, "more_body": False} if self.curtain.fallen else message

    def _started(self, call: Call, message: Message) -> Message:
        self.status = message["status"]
        headers = [(name.lower(), value) for name, value in message.get("headers", ())]
        if self.status < 400:
            names = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
            self.meter = self.dialect.meter(call, names)
            if self.coverage is not None and self.coverage.cuts:
                self.curtain = curtain(self.dialect.closing, call, names)
        if call.stream and (not call.wants_usage or self.curtain is not None):
            # Something may be taken out or put in: a length announced by the app would be wrong.
            headers = [(name, value) for name, value in headers if name != b"content-length"]
        ours = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return {**message, "headers": headers + ours}

    def _metered_body(self, meter: Meter, message: Message) -> Message:
        chunk = message.get("body", b"")
        passed = meter.feed(chunk) if chunk else b""
        if not message.get("more_body", False):
            self.complete = True
            passed += meter.finish()
        return message if passed is chunk else {**message, "body": passed}

    def _ending(self, passage: Passage) -> Ending:
        if self.meter is not None:
            return self.meter.ending(passage.cut or ("" if self.complete else "the answer broke off"))
        if self.status >= 400 and not passage.cut:
            return NeverSent(f"answered {self.status}")
        return CutOff(passage.cut or "no answer") if passage.sent else NeverSent(passage.cut)


OURS: Final[Mapping[str, type[BaseException]]] = {EXHAUSTED: Exception, STOPPED: asyncio.CancelledError}
"""Why we break a call off ourselves, and what the app then ends with."""


async def answer(send: Send, ours: reply.Reply) -> None:
    """Send an answer of weighbridge's own."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in ours.headers.items()]
    headers.append((b"content-length", str(len(ours.body)).encode()))
    await send({"type": "http.response.start", "status": ours.status, "headers": headers})
    await send({"type": "http.response.body", "body": ours.body})


def _meant(scope: Scope) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in scope["headers"] if name in MEANT}
