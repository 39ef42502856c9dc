"""Drives crossings with threads."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from typing import Any, ClassVar
from weakref import WeakSet, finalize, ref

from weighbridge import wiring
from weighbridge.adapters.client.crossing import (
    LEFT,
    PATIENCE_SECONDS,
    UNREAD,
    Answer,
    Open,
    Read,
    Send,
    Settle,
    Step,
    Weigh,
    crossing,
    respond,
)
from weighbridge.adapters.client.terms import Terms
from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.model import Ending
from weighbridge.desk import store_down
from weighbridge.guard import Guard
from weighbridge.keeping import Keeper


class Gate:
    """A transport without an event loop: lets requests through `inner`.  `library` is httpx or httpx2,
    `stream` a subclass of `Stream` and of its byte stream."""

    library: ClassVar[Any]
    stream: ClassVar[type[Stream]]

    def __init__(
        self,
        transport: Any = None,
        *,
        guard: Guard | None = None,
        store: str | None = None,
        config: str | None = None,
        org: str | None = None,
        team: str | None = None,
        user: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.terms = Terms.of(guard, store=store, config=config, org=org, team=team, user=user, key=key, tags=tags)
        self._inner = self.library.HTTPTransport() if transport is None else transport
        self._built = guard is None
        self._guard = guard
        self._keeper: Keeper | None = None
        self._building = Lock()
        self._leave: Callable[[], None] | None = None
        self._working: set[Thread] = set()
        self._answers: WeakSet[Stream] = WeakSet()

    def handle_request(self, request: Any) -> Any:
        """One request, as httpx calls it."""
        return respond(self.library, self._drive(request), self._metered)

    def _metered(self, response: Any, answer: Answer) -> Stream:
        stream = self.stream(self, response, answer)
        self._answers.add(stream)
        return stream

    def close(self) -> None:
        """Wait until everything that has ended is settled, and close the connections."""
        for stream in list(self._answers):
            # Left early, and not closed: SDKs' streams lie about in cycles until they are collected.
            stream.close()
        while self._working:
            for thread in list(self._working):
                thread.join()
                self._working.discard(thread)
        if self._leave is not None:
            atexit.unregister(self._leave)
        self._inner.close()
        if self._built and self._guard is not None:
            self._guard.shut()

    def give_up(self) -> None:
        """The program ends: charge what was left lying about."""
        for stream in list(self._answers):
            stream.give_up()

    def settle(self, ticket: Ticket, ending: Ending) -> None:
        """Settle; a store that is slow is not waited for."""
        self.aside(lambda: self.settle_here(ticket, ending), PATIENCE_SECONDS)

    def settle_here(self, ticket: Ticket, ending: Ending) -> None:
        """Settle, however long it takes."""
        if self._keeper is not None:
            self._keeper.let_go(ticket)
        # A settlement that fails was told to every hook already, with the id and the ending.
        with suppress(StoreError):
            self._open().close(ticket, ending)

    def aside(self, work: Callable[[], None], patience: float) -> None:
        """Have work done in a thread of its own, waiting for it no longer than `patience` seconds.  The
        program does not end before it is done."""

        def run() -> None:
            work()
            self._working.discard(thread)

        thread = Thread(target=run, name="weighbridge", daemon=False)
        self._working.add(thread)
        try:
            thread.start()
        except RuntimeError:
            # The interpreter is ending and takes no new threads.
            return run()
        thread.join(patience)

    def _open(self) -> Guard:
        """The guard, built at the first use where none was given."""
        with self._building:
            if self._guard is None:
                try:
                    self._guard = wiring.guard(self.terms.settings)
                except StoreError as error:
                    raise store_down(error) from error
            if self._keeper is None:
                self._keeper = Keeper(self._guard.renew, self._guard.desk.lease_ms)
                # Only now: what the store does at the end of the program must come after it.
                self._leave = atexit.register(partial(_program_ends, ref(self)))
        return self._guard

    def _drive(self, request: Any) -> Any:
        flow = crossing(self.terms, request)
        try:
            step = next(flow)
            while True:
                try:
                    answer = self._do(step)
                except BaseException as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(answer)
        except StopIteration as end:
            return end.value

    def _do(self, step: Step) -> Any:
        match step:
            case Read(request):
                return request.read()
            case Weigh(raw):
                return self._open().weigh(raw)
            case Open(raw):
                ticket = self._open().open(raw)
                assert self._keeper is not None
                self._keeper.watch(ticket)
                return ticket
            case Send(request):
                return self._inner.handle_request(request)
            case Settle(ticket, ending):
                return self.settle(ticket, ending)


class Stream:
    """An answer's bytes, metered as they are read."""

    def __init__(self, gate: Gate, response: Any, answer: Answer) -> None:
        self._gate = gate
        self._response = response
        self._answer = answer
        self._chunks = iter(response.stream)
        self._lock = Lock()
        self._left = False
        # One that is neither read to its end nor closed is charged when nobody can do so any more.
        self._dropped = finalize(self, _dropped, gate, answer)
        self._dropped.atexit = False

    def __iter__(self) -> Iterator[bytes]:
        while (passed := self._next()) is not None:
            if passed:
                yield passed

    def close(self) -> None:
        """Nobody reads on: read on for what the provider reports, as long as was agreed."""
        if self._left:
            return
        self._left = True
        if self._answer.over or not self._gate.terms.drain_seconds:
            self._end(LEFT)
            return self._response.close()  # type: ignore[no-any-return]
        self._gate.aside(self._drain, PATIENCE_SECONDS)

    def give_up(self) -> None:
        """The program ends: nobody reads on, and no thread can."""
        self._end(UNREAD, aside=False)

    def _next(self) -> bytes | None:
        """The next bytes for the client; None behind the last ones."""
        if self._answer.over:
            return None
        try:
            chunk = next(self._chunks, None)
        except BaseException as error:
            self._end(f"the answer broke off ({type(error).__name__})")
            raise
        with self._lock:
            passed = self._answer.finish() if chunk is None else self._answer.feed(chunk)
        if chunk is None:
            self._end()
        return passed

    def _drain(self) -> None:
        reader = Thread(target=self._read_on, name="weighbridge-drain", daemon=True)
        reader.start()
        reader.join(self._gate.terms.drain_seconds)
        self._end(LEFT, aside=False)

    def _read_on(self) -> None:
        # The connection may be closed under it: then what was seen is what is charged.
        with suppress(self._gate.library.HTTPError, OSError, RuntimeError):
            for chunk in self._chunks:
                with self._lock:
                    if self._answer.over:
                        break
                    self._answer.feed(chunk)
            else:
                self._end(aside=False)
            self._response.close()

    def _end(self, cut: str = "", aside: bool = True) -> None:
        self._dropped.detach()
        with self._lock:
            ending = self._answer.end(cut)
        if ending is not None:
            settle = self._gate.settle if aside else self._gate.settle_here
            settle(self._answer.ticket, ending)


def _dropped(gate: Gate, answer: Answer) -> None:
    """From wherever rubbish is collected, so nothing here may wait for a lock."""
    ending = answer.end(UNREAD)
    if ending is not None:
        gate.aside(lambda: gate.settle_here(answer.ticket, ending), 0)


def _program_ends(gate: ref[Gate]) -> None:
    left = gate()
    if left is not None:
        left.give_up()
