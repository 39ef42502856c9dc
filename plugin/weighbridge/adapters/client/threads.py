"""Drives crossings with threads."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, ClassVar, Final
from weakref import finalize, ref

from weighbridge import wiring
from weighbridge.adapters.client.crossing import (
    PATIENCE_SECONDS,
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
from weighbridge.adapters.client.reading import Reading, Stream, leave_forgotten
from weighbridge.adapters.client.terms import Terms
from weighbridge.core.admission import Ticket
from weighbridge.core.errors import StoreError
from weighbridge.core.ledger import Extend
from weighbridge.core.model import Ending
from weighbridge.guard import Guard
from weighbridge.outage import store_down

CLERKS: Final = 4
"""Threads that ask the store, at most; they are idle but where it does not answer."""


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
        self._leave: Callable[[], None] | None = None
        self._begin()

    def _begin(self) -> None:
        """What a process has for itself: one that was forked has none of its parent's threads, and does not
        end its parent's calls."""
        self._process = os.getpid()
        self._building = Lock()
        self._clerks = ThreadPoolExecutor(CLERKS, "weighbridge-settle")
        self._working: set[Thread] = set()
        self._hiring = Lock()
        self._forgotten: SimpleQueue[Reading | None] = SimpleQueue()
        self._leaver: Thread | None = None
        self.readings: set[Reading] = set()

    def _here(self) -> None:
        """Notice a fork."""
        if self._process != os.getpid():
            self._begin()

    def handle_request(self, request: Any) -> Any:
        """One request, as httpx calls it."""
        self._here()
        return respond(self.library, self._drive(request), self._metered)

    def _metered(self, response: Any, answer: Answer) -> Stream:
        answer.note = partial(self._open().note, answer.ticket)
        reading = Reading(self, response, answer)
        self.readings.add(reading)
        with self._hiring:
            if self._leaver is None:
                queue = (self._forgotten,)
                self._leaver = Thread(target=leave_forgotten, args=queue, name="weighbridge-left", daemon=True)
                self._leaver.start()
                finalize(self, self._forgotten.put, None)
        return self.stream(reading, self._forgotten)

    def close(self) -> None:
        """Wait until everything that has ended is settled, and close the connections."""
        self._here()
        if self._leaver is not None:
            # It may be on the way to have an answer read on, which then has to be waited for.
            self._forgotten.put(None)
            self._leaver.join()
        for reading in list(self.readings):
            reading.leave()
        while working := self._at_work():
            for thread in working:
                thread.join()
        self._clerks.shutdown()
        if self._leave is not None:
            atexit.unregister(self._leave)
        self._inner.close()
        if self._built and self._guard is not None:
            self._guard.shut()

    def give_up(self) -> None:
        """The program ends: charge what was left lying about."""
        self._here()
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
        # A settlement that fails was told to every hook already, with the id and the ending.
        with suppress(StoreError):
            guard = self._open()
            guard.keeper.let_go(ticket)
            guard.close(ticket, ending)

    def extend(self, reading: Reading, more: Extend) -> None:
        """Ask for more beside the stream."""
        # An interpreter that is ending takes no new work: the stream goes on as far as it is held for.
        with suppress(RuntimeError):
            self._clerks.submit(lambda: reading.answered(self._open().extend(more)))

    def aside(self, work: Callable[[], None], patience: float) -> None:
        """Have work done in a thread of its own, waiting for it no longer than `patience` seconds.  The
        program does not end before it is done."""

        def run() -> None:
            try:
                work()
            finally:
                with self._hiring:
                    self._working.discard(thread)

        thread = Thread(target=run, name="weighbridge", daemon=False)
        if not self._begun(thread):
            return run()
        thread.join(patience)

    def _begun(self, thread: Thread) -> bool:
        """Whether a thread is at work: an interpreter that is ending takes no new ones."""
        with self._hiring:
            try:
                thread.start()
            except RuntimeError:
                return False
            self._working.add(thread)
            return True

    def _at_work(self) -> list[Thread]:
        with self._hiring:
            return list(self._working)

    def _open(self) -> Guard:
        """The guard, built at the first use where none was given."""
        with self._building:
            if self._guard is None:
                try:
                    self._guard = wiring.guard(self.terms.settings)
                except StoreError as error:
                    raise store_down(error) from error
            if self._leave is None:
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
                guard = self._open()
                ticket = guard.open(raw)
                guard.keeper.watch(ticket)
                return ticket
            case Send(request):
                return self._inner.handle_request(request)
            case Settle(ticket, ending):
                return self.settle(ticket, ending)


def _program_ends(gate: ref[Gate]) -> None:
    left = gate()
    if left is not None:
        left.give_up()
