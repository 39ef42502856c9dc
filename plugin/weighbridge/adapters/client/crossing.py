"""One request on its way through a client transport: weighed, sent, metered, settled.

`crossing` is a flow as in `core.flow`: it yields what must be waited for and is sent the answer (or
thrown the error), and returns the response.  `threads.py` and `loops.py` drive it.  Requests and
responses are those of httpx or httpx2, whose names are the same.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.adapters.client.terms import Terms
from weighbridge.adapters.intake import Body, unpacked
from weighbridge.core import reply
from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.addresses import Address, at_provider, runs_no_model, spoken, unmetered
from weighbridge.core.dialects.base import AS_SENT, Dialect
from weighbridge.core.dialects.routes import MEANT, renamed
from weighbridge.core.errors import Refused
from weighbridge.core.model import CutOff, Ending, NeverSent, RawCall
from weighbridge.core.outbound import Outbound, alters
from weighbridge.core.tags import HEADER

FREE: Final = frozenset(
    ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "ReadError", "WriteError", "WriteTimeout",
     "UnsupportedProtocol", "LocalProtocolError")
)  # fmt: skip
"""Failures before the first byte of an answer that cost nothing; a silence may have been billed."""
CLOSED: Final = "Server disconnected"
"""How a RemoteProtocolError tells of a connection closed without a byte."""
LAST: Final = re.compile(
    rb"(?:^|\n)(?:data: ?\[DONE\]|event: ?(?:message_stop|response\.(?:completed|incomplete|failed))\r?\n[^\n]*)"
    rb"\r?\n\r?\n$"
)
"""A stream's own word that nothing follows, where it stands at the end of a chunk.  Generated text cannot
imitate it: in JSON its line breaks are escaped."""
UNREAD: Final = "the answer was left unread"
PATIENCE_SECONDS: Final = 0.1
"""How long the end of an answer waits for its settlement, so that what comes next finds it done."""


@dataclass(frozen=True, slots=True)
class Read:
    """Read the request's body; the answer is bytes."""

    request: Any


@dataclass(frozen=True, slots=True)
class Weigh:
    """Count only; the answer is a Weighed."""

    raw: RawCall


@dataclass(frozen=True, slots=True)
class Open:
    """Weigh, decide and hold; the answer is a Ticket, whose lease is kept from now on."""

    raw: RawCall


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request to the provider; the answer is its response, the body unread."""

    request: Any


@dataclass(frozen=True, slots=True)
class Settle:
    """The call has ended."""

    ticket: Ticket
    ending: Ending


Step = Read | Weigh | Open | Send | Settle
Crossing = Generator[Step, Any, Any]


class Answer(Outbound):
    """An answer that a client reads from us, or leaves to us."""

    def __init__(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        super().__init__(ticket, headers)
        self.over = False
        """It was asked how the call ended; what still comes passes as it is."""
        self.whole = False
        """The stream said that it is at its end, which many a client takes for it and reads no further."""
        self.note: Callable[[CutOff], None] | None = None
        """Told what to charge should this process die."""

    def feed(self, chunk: bytes) -> bytes:
        """The provider's next bytes; those that go on to the client."""
        if self.over:
            return chunk
        passed = super().feed(chunk)
        if self.note is not None and (seen := self.unnoted()) is not None:
            self.note(seen)
        if LAST.search(chunk):
            self.whole = True
            return passed + self.finish()
        return passed

    def finish(self) -> bytes:
        """The provider ended its answer: bytes still held back."""
        return b"" if self.over else super().finish()

    def enough(self, most: int) -> bool:
        """Whether nobody needs to read on: `most` tokens went by, or the answer has to end."""
        return self.over or self.stop() is not None or self.exhausted or self.written > most

    def end(self, cut: str = "") -> Ending | None:
        """How the call ended; None where that was asked before."""
        if self.over:
            return None
        self.over = True
        return self.ending(cut)


@dataclass(frozen=True, slots=True)
class Metered:
    """What a crossing returns for an answer that must be metered on its way to the client."""

    response: Any
    answer: Answer
    headers: list[tuple[bytes, bytes]]


def respond(library: Any, crossed: Any, stream: Callable[[Any, Answer], Any]) -> Any:
    """What a crossing returned as a response of `library` (httpx or httpx2); `stream` wraps a metered body."""
    match crossed:
        case reply.Reply(status, headers, body):
            return library.Response(status, headers=headers, content=body)
        case Metered(given, answer, headers):
            body = stream(given, answer)
            return library.Response(given.status_code, headers=headers, stream=body, extensions=given.extensions)
        case _:
            return crossed


def crossing(terms: Terms, request: Any) -> Crossing:
    """The order of things.  Returns a provider's response, one of our own (`reply.Reply`), or `Metered`."""
    method, path = request.method, request.url.path
    address = at_provider(method, path)
    if address is None or address.route.kind == "models":
        if _passes(terms, request):
            return (yield Send(_bare(request)))
        return _refused(unmetered(method, path), DIALECTS[address.route.dialect if address else spoken(path)])
    dialect = DIALECTS[address.route.dialect]
    try:
        body = unpacked((yield Read(request)), _encoding(request), terms.settings.limits.max_body_bytes)
        raw = _raw(terms, request, address, body)
        if raw.counts:
            return reply.counted((yield Weigh(raw)).estimate, dialect)
        ticket = yield Open(raw)
    except Refused as error:
        return _refused(error, dialect)
    return (yield from _sending(ticket, dialect, request, address, body))


def _sending(ticket: Ticket, dialect: Dialect, request: Any, address: Address, body: Body) -> Crossing:
    going = None
    try:
        going = _outgoing(ticket, dialect, request, address, body)
        response = yield Send(going)
    except BaseException as error:
        yield Settle(ticket, _unanswered(error) if going is not None else NeverSent("it could not be written"))
        raise
    given = [(name.lower(), value) for name, value in response.headers.raw]
    headers = given + [(name.encode(), value.encode("latin-1")) for name, value in reply.admitted(ticket).items()]
    if not 200 <= response.status_code < 300:
        yield Settle(ticket, NeverSent(f"answered {response.status_code}"))
        response.headers = type(response.headers)(headers)
        return response
    if alters(ticket):
        headers = [(name, value) for name, value in headers if name != b"content-length"]
    names = {name.decode("latin-1"): value.decode("latin-1") for name, value in given}
    return Metered(response, Answer(ticket, names), headers)


def _passes(terms: Terms, request: Any) -> bool:
    """Whether a request on no metered route may go."""
    socket = request.headers.get("upgrade", "").lower() == "websocket"
    free = runs_no_model(request.method, request.url.path) and not socket
    return free or terms.settings.unmetered_routes == "forward"


def _raw(terms: Terms, request: Any, address: Address, body: Body) -> RawCall:
    route = address.route
    return RawCall(
        route.dialect,
        body.plain,
        terms.who(request.headers.get(HEADER, "")),
        provider=terms.provider(request.url, route.dialect),
        model=route.model,
        stream=route.stream,
        counts=route.kind == "count",
        path=address.path,
        headers={name: request.headers[name] for name in MEANT if name in request.headers},
    )


def _encoding(request: Any) -> str:
    encoding: str = request.headers.get("content-encoding", "identity")
    return encoding.strip().lower()


def _bare(request: Any) -> Any:
    """A request without the headers that are for weighbridge."""
    for name in [name for name in request.headers if name.startswith("x-weighbridge-")]:
        del request.headers[name]
    return request


def _outgoing(ticket: Ticket, dialect: Dialect, request: Any, address: Address, body: Body) -> Any:
    """The request as the provider gets it: byte for byte as sent, but for what a decision changed."""
    amendment, detour = ticket.amendment, ticket.weighed.detour
    if amendment != AS_SENT or detour != AS_SENT:
        body = body.replaced(dialect.amend(ticket.weighed.body, ticket.call, amendment))
    url = request.url
    if detour.model is not None and address.route.model is not None:
        url = url.copy_with(path=renamed(url.path, address.route.model, detour.model))
    # A body that came in pieces goes out in one, as it was read.
    headers = body.replaced(body.plain).headers((name.lower(), value) for name, value in request.headers.raw)
    headers = [(n, v) for n, v in headers if n != b"accept-encoding" and not n.startswith(b"x-weighbridge-")]
    # What cannot be read on the way cannot be metered: gzip can, br and zstd cannot.
    packed = "gzip" in request.headers.get("accept-encoding", "") and not alters(ticket)
    headers.append((b"accept-encoding", b"gzip" if packed else b"identity"))
    return type(request)(request.method, url, headers=headers, content=body.plain, extensions=request.extensions)


def _unanswered(error: BaseException) -> Ending:
    """How a call ended that brought no answer."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    named = type(error).__name__
    if kinds & FREE or ("RemoteProtocolError" in kinds and str(error).startswith(CLOSED)):
        return NeverSent(f"no answer from the provider ({named})")
    return CutOff(f"no answer from the provider ({named})")


def _refused(error: Refused, dialect: Dialect) -> reply.Reply:
    return reply.refused(error, dialect, uuid.uuid4().hex)
