"""Drives crossings with threads."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, ClassVar, Final
from weakref import finalize, ref

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
from weighbridge.guard import Guard
from weighbridge.keeping import Keeper
from weighbridge.outage import store_down

CLERKS: Final = 4
"""Threads that settle, at most; they are idle but where the store does not answer."""


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
        self._clerks = ThreadPoolExecutor(CLERKS, "weighbridge-settle")
        self._leave: Callable[[], None] | None = None
        self._working: set[Thread] = set()
        self._forgotten: SimpleQueue[Reading | None] | None = None
        self.readings: set[Reading] = set()

    def handle_request(self, request: Any) -> Any:
        """One request, as httpx calls it."""
        return respond(self.library, self._drive(request), self._metered)

    def _metered(self, response: Any, answer: Answer) -> Stream:
        answer.note = partial(self._open().note, answer.ticket)
        reading = Reading(self, response, answer)
        self.readings.add(reading)
        with self._building:
            if self._forgotten is None:
                self._forgotten = SimpleQueue()
                Thread(target=_leave_forgotten, args=(self._forgotten,), name="weighbridge-left", daemon=True).start()
                finalize(self, self._forgotten.put, None)
        return self.stream(reading, self._forgotten)

    def close(self) -> None:
        """Wait until everything that has ended is settled, and close the connections."""
        for reading in list(self.readings):
            reading.leave()
        if self._forgotten is not None:
            self._forgotten.put(None)
        while self._working:
            for thread in list(self._working):
                thread.join()
                self._working.discard(thread)
        self._clerks.shutdown()
        if self._leave is not None:
            atexit.unregister(self._leave)
        self._inner.close()
        if self._built and self._guard is not None:
            self._guard.shut()

    def give_up(self) -> None:
        """The program ends: charge what was left lying about."""
        for reading in list(self.readings):
            reading.give_up()

    def settle(self, ticket: Ticket, ending: Ending) -> None:
        """Settle; a store that is slow is not waited for."""
        try:
            settling = self._clerks.submit(self.settle_here, ticket, ending)
        except RuntimeError:
            # The interpreter is ending and takes no new work.
            return self.settle_here(ticket, ending)
        wait((settling,), PATIENCE_SECONDS)

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
            try:
                work()
            finally:
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


class Reading:
    """The reading of an answer, whoever does it: the client, or we after it left."""

    def __init__(self, gate: Gate, response: Any, answer: Answer) -> None:
        self.gate = gate
        self._response = response
        self._answer = answer
        self._chunks = iter(response.stream)
        self._lock = Lock()
        self._left = False

    def next(self) -> bytes | None:
        """The next bytes for the client; None behind the last ones."""
        try:
            chunk = next(self._chunks, None)
        except BaseException as error:
            self._end(f"the answer broke off ({type(error).__name__})")
            raise
        with self._lock:
            passed = (self._answer.finish() or None) if chunk is None else self._answer.feed(chunk)
        if chunk is None or self._answer.whole:
            self._end()
        return passed

    def leave(self) -> None:
        """Nobody reads on: read on for what the provider reports, as long as was agreed."""
        if self._left:
            return
        self._left = True
        if self._answer.over or not self.gate.terms.drain_seconds:
            self._end(LEFT)
            return self._response.close()  # type: ignore[no-any-return]
        self.gate.aside(self._drain, PATIENCE_SECONDS)

    def give_up(self) -> None:
        """The program ends: nobody reads on, and no thread can."""
        self._end(UNREAD, aside=False)

    def _drain(self) -> None:
        reader = Thread(target=self._read_on, name="weighbridge-drain", daemon=True)
        reader.start()
        reader.join(self.gate.terms.drain_seconds)
        self._end(LEFT, aside=False)

    def _read_on(self) -> None:
        # The connection may be closed under it, or another thread be reading: what was seen is what is charged.
        trouble = suppress(self.gate.library.HTTPError, OSError, RuntimeError, ValueError)
        with trouble:
            for chunk in self._chunks:
                with self._lock:
                    if self._answer.over:
                        break
                    self._answer.feed(chunk)
            else:
                self._end(aside=False)
        with trouble:
            self._response.close()

    def _end(self, cut: str = "", aside: bool = True) -> None:
        self.gate.readings.discard(self)
        with self._lock:
            ending = self._answer.end(cut)
        if ending is not None:
            settle = self.gate.settle if aside else self.gate.settle_here
            settle(self._answer.ticket, ending)


class Stream:
    """An answer's bytes, metered as they are read."""

    def __init__(self, reading: Reading, forgotten: SimpleQueue[Reading | None]) -> None:
        self._reading = reading
        # SDKs' streams lie about in cycles.  Where rubbish is collected no lock may be waited for.
        finalize(self, forgotten.put, reading).atexit = False

    def __iter__(self) -> Iterator[bytes]:
        while (passed := self._reading.next()) is not None:
            if passed:
                yield passed

    def close(self) -> None:
        """The client closes the answer, read to its end or not."""
        self._reading.leave()


def _leave_forgotten(forgotten: SimpleQueue[Reading | None]) -> None:
    while (reading := forgotten.get()) is not None:
        with suppress(reading.gate.library.HTTPError, OSError, RuntimeError):
            reading.leave()


def _program_ends(gate: ref[Gate]) -> None:
    left = gate()
    if left is not None:
        left.give_up()
