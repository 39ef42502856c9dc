"""The reading of an answer, whoever does it: the client, or we after it left.

Before each chunk it is asked whether the answer may go on, behind each whether to hold for more of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from weakref import finalize

from weighbridge.adapters.client.crossing import PATIENCE_SECONDS, UNREAD, Answer
from weighbridge.core.admission import Ticket
from weighbridge.core.endings import LEFT
from weighbridge.core.ledger import Ended, Granted, Short
from weighbridge.core.model import Ending
from weighbridge.core.outbound import EXHAUSTED

if TYPE_CHECKING:
    from weighbridge.adapters.client.loops import AsyncGate
    from weighbridge.adapters.client.threads import Gate


class Reading:
    """Without an event loop."""

    def __init__(self, gate: Gate, response: Any, answer: Answer) -> None:
        self.gate = gate
        self._response = response
        self._answer = answer
        self._chunks = iter(response.stream)
        self._lock = Lock()
        self._left = False
        # The connection may be closed under it, or another thread be reading: what was seen is what is charged.
        self._trouble = suppress(gate.library.HTTPError, OSError, RuntimeError, ValueError)

    def next(self) -> bytes | None:
        """The next bytes for the client; None behind the last ones."""
        with self._lock:
            if self._answer.ended:
                return None
            passed = self._answer.stop()
        if passed is None and not self._answer.ended:
            passed = self._read()
        if self._answer.ended:
            self._cut()
        return passed

    def answered(self, answer: Granted | Short | Ended | None) -> None:
        """What came of asking for more."""
        with self._lock:
            self._answer.answered(answer)

    def _read(self) -> bytes | None:
        try:
            chunk = next(self._chunks, None)
        except BaseException as error:
            self._end(f"the answer broke off ({type(error).__name__})")
            raise
        passed = self._finish() if chunk is None else self._feed(chunk)
        if chunk is None or self._answer.whole:
            self._end()
        return passed

    def _finish(self) -> bytes | None:
        with self._lock:
            return self._answer.finish() or None

    def _feed(self, chunk: bytes) -> bytes:
        with self._lock:
            passed = self._answer.feed(chunk)
            more = None if self._answer.over else self._answer.due()
        if more is not None:
            self.gate.extend(self, more)
        return passed

    def _cut(self) -> None:
        """The answer ends here: the provider need not go on either."""
        with self._trouble:
            self._response.close()
        self._end()
        if not self._answer.told:
            raise self.gate.library.RemoteProtocolError(EXHAUSTED)

    def leave(self) -> None:
        """Nobody reads on: read on for what the provider reports, as long as was agreed."""
        if self._left:
            return
        self._left = True
        if self._answer.over or self._answer.exhausted or not self.gate.terms.drain_seconds:
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
        most = self._answer.written + self.gate.terms.drain_tokens
        with self._trouble:
            for chunk in self._chunks:
                self._feed(chunk)
                with self._lock:
                    if self._answer.enough(most):
                        break
            else:
                self._end(aside=False)
        with self._trouble:
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


def leave_forgotten(forgotten: SimpleQueue[Reading | None]) -> None:
    """Take leave of the answers that are put here, until None is."""
    while (reading := forgotten.get()) is not None:
        with suppress(reading.gate.library.HTTPError, OSError, RuntimeError):
            reading.leave()


class AsyncReading:
    """The same for event loops."""

    def __init__(self, gate: AsyncGate, response: Any, answer: Answer) -> None:
        self._gate = gate
        self._response = response
        self._answer = answer
        self._chunks = aiter(response.stream)
        self._left = False
        self._loop = asyncio.get_running_loop()
        # The connection may be closed under it: then what was seen is what is charged.
        self._trouble = suppress(gate.library.HTTPError, OSError, RuntimeError)

    async def next(self) -> bytes | None:
        """The next bytes for the client; None behind the last ones."""
        if self._answer.ended:
            return None
        passed = self._answer.stop()
        if passed is None and not self._answer.ended:
            passed = await self._read()
        if self._answer.ended:
            await self._cut()
        return passed

    async def _read(self) -> bytes | None:
        try:
            chunk = await anext(self._chunks, None)
        except BaseException as error:
            await self._end(f"the answer broke off ({type(error).__name__})")
            raise
        passed = (self._answer.finish() or None) if chunk is None else self._feed(chunk)
        if chunk is None or self._answer.whole:
            await self._end()
        return passed

    def _feed(self, chunk: bytes) -> bytes:
        passed = self._answer.feed(chunk)
        more = None if self._answer.over else self._answer.due()
        if more is not None:
            self._gate.begin(self._gate.extend(self._answer, more))
        return passed

    async def _cut(self) -> None:
        """The answer ends here: the provider need not go on either."""
        with self._trouble:
            await self._response.aclose()
        await self._end()
        if not self._answer.told:
            raise self._gate.library.RemoteProtocolError(EXHAUSTED)

    async def leave(self) -> None:
        """Nobody reads on: read on for what the provider reports, as long as was agreed."""
        if self._left:
            return
        self._left = True
        if self._answer.over or self._answer.exhausted or not self._gate.terms.drain_seconds:
            await self._end(LEFT)
            return await self._response.aclose()  # type: ignore[no-any-return]
        await self._gate.aside(self._drain())

    def forget(self) -> None:
        """From wherever rubbish is collected: the loop it belongs to takes leave of it."""
        if not self._left and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self._gate.begin(self.leave()))

    @property
    def ticket(self) -> Ticket:
        """The call it answers."""
        return self._answer.ticket

    def give_up(self) -> Ending | None:
        """The program ends, and nobody reads on: how the call ended, where nobody said so yet."""
        return self._answer.end(UNREAD)

    async def _drain(self) -> None:
        most = self._answer.written + self._gate.terms.drain_tokens
        try:
            with self._trouble:
                async with asyncio.timeout(self._gate.terms.drain_seconds):
                    async for chunk in self._chunks:
                        self._feed(chunk)
                        if self._answer.enough(most):
                            break
                    else:
                        await self._end(aside=False)
        finally:
            await self._end(LEFT, aside=False)
            await self._response.aclose()

    async def _end(self, cut: str = "", aside: bool = True) -> None:
        self._gate.readings.discard(self)
        ending = self._answer.end(cut)
        if ending is not None:
            settle = self._gate.settle if aside else self._gate.settle_here
            await settle(self._answer.ticket, ending)


class AsyncStream:
    """The same for event loops."""

    def __init__(self, reading: AsyncReading) -> None:
        self._reading = reading
        # SDKs' streams lie about in cycles.
        finalize(self, reading.forget).atexit = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (passed := await self._reading.next()) is not None:
            if passed:
                yield passed

    async def aclose(self) -> None:
        """The client closes the answer, read to its end or not."""
        await self._reading.leave()
