"""For programs without HTTP: hold before a call, report after it.

    with guard.hold(call) as ticket:                # raises Refused
        answer = ask(ticket.body)                   # the request, with what a decision changed in it
        ticket.report(answer)                       # the provider's answer, or a Usage

What is never reported is charged in full: the call may have cost what was held for it.  An error in
the block charges what is known to have come, or the whole where nothing is; a call that never went
out says so (`ticket.unsent()`) and costs nothing.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeVar

from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import AS_SENT, Amendment
from weighbridge.core.dialects.sample import Sample
from weighbridge.core.errors import StoreError
from weighbridge.core.ledger import Settled
from weighbridge.core.model import Call, CutOff, Ending, NeverSent, RawCall, Reported, Usage
from weighbridge.desk import Desk
from weighbridge.keeping import AsyncKeeper, Keeper

T = TypeVar("T")
P = ParamSpec("P")
UNREPORTED = "nobody reported what the call used"
ENTERED = "this hold is entered already: make another one for another call"


class Dumped(Protocol):
    """An answer as the SDKs have it."""

    def model_dump(self, *, by_alias: bool, exclude_none: bool) -> dict[str, Any]:
        """Its JSON, under the provider's names."""


class Guarding(Protocol):
    """What a hold needs of a guard."""

    @property
    def desk(self) -> Desk: ...
    def open(self, raw: RawCall) -> Ticket: ...
    def close(self, ticket: Ticket, ending: Ending) -> Settled: ...
    def renew(self, ticket: Ticket) -> bool: ...


class AsyncGuarding(Protocol):
    """The same for event loops."""

    @property
    def desk(self) -> Desk: ...
    async def open(self, raw: RawCall) -> Ticket: ...
    async def close(self, ticket: Ticket, ending: Ending) -> Settled: ...
    async def renew(self, ticket: Ticket) -> bool: ...


class Held:
    """An admitted call while it runs, and what is known of its use."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self._usage: Usage | None = None
        self._unsent: str | None = None
        self._seen = 0
        self._over = False
        self._sample = Sample()

    @property
    def id(self) -> str:
        """The hold's id, by which the journal knows it."""
        return self.ticket.id

    @property
    def call(self) -> Call:
        """The call as parsed."""
        return self.ticket.call

    @property
    def max_output(self) -> int | None:
        """The most output tokens of one choice that were granted, where that is fewer than asked; else None."""
        return self.ticket.max_output

    @property
    def body(self) -> bytes:
        """The request to send: as given, but for what a decision changed (clamp, trim, reroute)."""
        changed = Amendment(max_output=self.ticket.max_output)
        body = self.ticket.weighed.body
        return body if changed == AS_SENT else DIALECTS[self.call.dialect].amend(body, self.call, changed)

    def report(self, usage: Usage | Mapping[str, Any] | Dumped) -> None:
        """What the call used: a Usage, or the provider's answer (its JSON, an SDK's object, or a stream's last
        event) with the usage in it.  The last report holds.  Raises ValueError for an answer without one, and
        RuntimeError once the call is settled."""
        if self._over:
            raise RuntimeError("this call is settled already, and charged in full: report inside the block")
        found = usage if isinstance(usage, Usage) else self.usage_in(usage)
        if found is None:
            raise ValueError(f"this answer holds no usage that {self.call.dialect} knows; report a Usage instead")
        self._usage = found

    def usage_in(self, answer: object) -> Usage | None:
        """The usage in a provider's answer; None where there is none."""
        dumped = getattr(answer, "model_dump", None)
        read = answer if dumped is None else dumped(by_alias=True, exclude_none=True)
        return DIALECTS[self.call.dialect].usage(dict(read)) if isinstance(read, Mapping) else None

    def saw(self, text: str) -> None:
        """A piece of generated text that came: what a call that breaks off is charged for."""
        piece = json.dumps(text, ensure_ascii=False)[1:-1].encode(errors="replace")
        self._seen += len(piece)
        self._sample.add(piece)

    def unsent(self, why: str = "never sent") -> None:
        """The call did not reach the provider: nothing is charged, unless something is reported."""
        self._unsent = why

    def end(self, error: BaseException | None) -> Ending:
        """The block is left: nothing is reported any more."""
        self._over = True
        return self.ending(error)

    def ending(self, error: BaseException | None = None) -> Ending:
        """How the call ended, as far as anybody said; `error` is what the block raised."""
        if self._usage is not None:
            return Reported(self._usage)
        if self._unsent is not None:
            return NeverSent(self._unsent)
        reason = UNREPORTED if error is None else f"{type(error).__name__} before anybody reported"
        if error is not None and self._seen:
            text, size = self._sample.text()
            return CutOff(reason, seen_bytes=self._seen, text=text, text_bytes=size)
        # Nothing says it cost less than what was held for it.
        return CutOff(reason, Usage(output=self.ticket.units), self._seen)


class Hold:
    """The context manager: enter to hold (raises Refused), leave to settle."""

    def __init__(self, guard: Guarding, raw: RawCall, keeper: Keeper | None = None) -> None:
        self._guard = guard
        self._raw = raw
        self._keeper = keeper or Keeper(guard.renew, guard.desk.lease_ms)
        self._held: Held | None = None

    def __enter__(self) -> Held:
        if self._held is not None:
            raise RuntimeError(ENTERED)
        held = self._held = Held(self._guard.open(self._raw))
        self._keeper.watch(held.ticket)
        return held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        assert held is not None
        self._keeper.let_go(held.ticket)
        # A settlement that fails was told to every hook already; what the block did stands.
        with suppress(StoreError):
            self._guard.close(held.ticket, held.end(error))


class AsyncHold:
    """The same for event loops."""

    def __init__(self, guard: AsyncGuarding, raw: RawCall, keeper: AsyncKeeper | None = None) -> None:
        self._guard = guard
        self._raw = raw
        self._keeper = keeper or AsyncKeeper(guard.renew, guard.desk.lease_ms)
        self._held: Held | None = None

    async def __aenter__(self) -> Held:
        if self._held is not None:
            raise RuntimeError(ENTERED)
        held = self._held = Held(await self._guard.open(self._raw))
        self._keeper.watch(held.ticket)
        return held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        assert held is not None
        self._keeper.let_go(held.ticket)
        # A settlement that fails was told to every hook already; what the block did stands.
        with suppress(StoreError):
            await self._guard.close(held.ticket, held.end(error))


def held(hold: Callable[[RawCall], Hold], call: Callable[P, RawCall]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """A decorator.  `hold` makes a Hold of a call, and `call` makes the call of the function's arguments.
    The function gets its ticket as `ticket=`; what it returns is reported where it is an answer with
    usage in it.  Raises TypeError for a function that runs after its call: a coroutine, a generator."""

    def decorate(function: Callable[..., T]) -> Callable[P, T]:
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__} is a coroutine function: decorate it with async_held")
        _at_once(function)

        @functools.wraps(function)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            with hold(call(*args, **kwargs)) as ticket:
                answer = function(*args, ticket=ticket, **kwargs)
                _told(ticket, answer)
                return answer

        return wrapped

    return decorate


def async_held(
    hold: Callable[[RawCall], AsyncHold], call: Callable[P, RawCall]
) -> Callable[[Callable[..., Awaitable[T]]], Callable[P, Awaitable[T]]]:
    """The same for coroutine functions."""

    def decorate(function: Callable[..., Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        _at_once(function)

        @functools.wraps(function)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            async with hold(call(*args, **kwargs)) as ticket:
                answer = await function(*args, ticket=ticket, **kwargs)
                _told(ticket, answer)
                return answer

        return wrapped

    return decorate


def _at_once(function: Callable[..., object]) -> None:
    """Refuse a generator: it runs when its hold has ended, and was charged in full."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function.__name__} is a generator: hold inside it, with `with guard.hold(...)`")


def _told(ticket: Held, answer: object) -> None:
    """A returned answer is a report, where the function made none itself."""
    usage = ticket.usage_in(answer)
    if usage is not None and not isinstance(ticket.ending(), Reported):
        ticket.report(usage)
