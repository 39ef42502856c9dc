"""An answer on its way out, by whichever way in its request came: metered, held for ahead of need, and
brought to its end where it may not go on.

    out.feed(chunk)         bytes        those that go on to the client
    out.unnoted()           CutOff|None  to be written down first (`guard.note`)
    out.due()               Extend|None  to be asked beside the stream, never before a chunk (`guard.extend`)
    out.answered(...)                    what came of that
    out.stop()              bytes|None   behind a chunk: last words, where the answer has to end here
    out.ended               True: nothing may follow
    out.ending(cut)         Ending       how the call ended

Nothing waits here, and one thread at a time may be inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from weighbridge.core.admission import Ticket
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.curtain import curtain
from weighbridge.core.extension import Coverage, may_end
from weighbridge.core.ledger import Ended, Extend, Granted, Short
from weighbridge.core.model import CutOff, Ending
from weighbridge.core.settlement import Wake, conservative, written

EXHAUSTED: Final = "the budget ran out while it was answered"


class Outbound:
    """One answer; `headers` are those it came with, in lower case."""

    def __init__(self, ticket: Ticket, headers: Mapping[str, str]) -> None:
        dialect, call = DIALECTS[ticket.call.dialect], ticket.call
        self._coverage = Coverage(ticket)
        self._meter = dialect.meter(call, headers)
        self._curtain = curtain(dialect.closing, call, headers) if may_end(ticket) else None
        # What is held for whole cannot be outrun, and need not be watched.
        self._done = ticket.covered >= ticket.units
        self._wake = Wake(ticket) if call.stream else None
        self.exhausted = False
        """It may not go on; the client gets what is left of the event at hand, and its last words."""

    @property
    def ticket(self) -> Ticket:
        """The call it answers, with what is held for by now."""
        return self._coverage.ticket

    @property
    def written(self) -> int:
        """Output tokens that went by so far, by the evidence."""
        return written(self._meter.seen())

    @property
    def told(self) -> bool:
        """The client has its last words."""
        return self._curtain is not None and self._curtain.fallen

    @property
    def ended(self) -> bool:
        """Nothing may follow: the client has its last words, or there are none for such a stream."""
        return self.exhausted and (self._curtain is None or self._curtain.fallen)

    def feed(self, chunk: bytes) -> bytes:
        """The provider's next bytes; those that go on to the client."""
        return self._curtained(self._meter.feed(chunk) if chunk else b"")

    def finish(self) -> bytes:
        """The provider ended its answer: bytes still held back."""
        self._done = True
        return self._curtained(self._meter.finish())

    def unnoted(self) -> CutOff | None:
        """What to write down before it goes by, for the case that this process dies; None: it is noted."""
        return None if self._wake is None else self._wake.due(self._meter.seen())

    def due(self) -> Extend | None:
        """What to ask of the ledger by now; None: nothing yet."""
        return None if self._done or self.exhausted else self._coverage.due(self.written)

    def answered(self, answer: Granted | Short | Ended | None) -> None:
        """The ledger's answer; None where there was none."""
        self._coverage.answered(answer)

    def stop(self) -> bytes | None:
        """Last words, where the answer ends with what has passed; None where it does not, or has none."""
        if self._done or self.exhausted:
            return None
        seen = self._meter.seen()
        self.exhausted = self._coverage.spent(written(seen))
        if not self.exhausted or self._curtain is None:
            return None
        last = self._curtain.fall(conservative(self.ticket, seen))
        return last if self._curtain.fallen else None

    def seen(self) -> CutOff:
        """What went by so far, as for `Meter.seen`."""
        return self._meter.seen()

    def ending(self, cut: str = "") -> Ending:
        """How the call ended; `cut` as for `Meter.ending`."""
        return self._meter.ending(EXHAUSTED if self.exhausted else cut)

    def _curtained(self, passed: bytes) -> bytes:
        if self._curtain is None:
            return passed
        return b"" if self._curtain.fallen else self._curtain.feed(passed)


def alters(ticket: Ticket) -> bool:
    """Whether something may be taken out of the answer (usage that was asked for on the client's behalf) or
    put in (an end).  A packed stream forbids both, and a length announced for it would be wrong."""
    return ticket.amendment.ask_usage or may_end(ticket)
