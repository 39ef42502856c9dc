"""What a worker does while the store does not answer.

Nobody waits twice: after a silence the store is left alone for a second, then one caller looks again.
What becomes of calls meanwhile is a policy (`on_store_error`):

    reject   503, and try again shortly
    admit    let it pass unheld; it is charged when the store is back
    slice    hold it against this worker's own share, `SHARE` of every limit, in memory

A slice bounds what an outage can overspend: the share times the number of workers, per limit and
window.  Settlements that nobody took are kept, on disk where there is a spool, and repeated once the
store answers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from weighbridge.core.admission import Plan, Ticket, held_here, unheld
from weighbridge.core.errors import Refused, StoreError, StoreUnavailable
from weighbridge.core.flow import Flow, ask
from weighbridge.core.ledger import Granted, Hold, Renew, Settle, Verb
from weighbridge.core.model import CutOff, Ending
from weighbridge.core.policy.model import Defaults
from weighbridge.core.settlement import settle
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.spool import Spool
from weighbridge.ledger.upkeep import Upkeep

T = TypeVar("T")
log = logging.getLogger("weighbridge")
LOOK_MS: Final = 1000
"""How long a store that did not answer is left alone."""
STORE_RETRY_SECONDS: Final = 5
SHARE: Final = 100
"""A worker's own share of a limit is one part in this many; of requests and calls, one at least."""
WHOLE_UNITS: Final = ("requests", "calls")
REMEMBERED_MS: Final = 10 * 60 * 1000
"""How long the worker's own ledger knows a call that has ended."""
MOST_OWED: Final = 10_000
"""Settlements kept in memory for later; more of them are on disk, or the oldest are lost."""


class Spared(StoreUnavailable):
    """The store was not even asked: it did not answer a moment ago."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A settlement the store has not heard of.  `ticket` and `ending` are what to tell of it; without
    them it releases a hold that may have been made although nobody heard so."""

    verb: Settle
    ticket: Ticket | None = None
    ending: Ending | None = None


class Outage:
    """Whether the store answers, and what is done without it."""

    def __init__(self, clock: Callable[[], int], spool: Spool | None = None) -> None:
        self.spool = spool
        self._clock = clock
        self._look_at: int | None = None
        self._slice = MemoryStore(clock, Upkeep(retention_ms=REMEMBERED_MS))
        self.owed: deque[Owed] = deque(maxlen=MOST_OWED)

    def asking(self, verb: Verb[T], *, insist: bool = False) -> Flow[T]:
        """Put a verb to the store.  Raises StoreError; Spared where the store is left alone just now,
        unless the caller insists."""
        if not insist and self._left_alone():
            raise Spared("it did not answer a moment ago")
        try:
            answer = yield from ask(verb)
        except StoreError as error:
            silent = isinstance(error, StoreUnavailable)
            self._look_at = self._clock() + LOOK_MS if silent else None
            raise
        self._look_at = None
        return answer

    def decide(self, planned: Plan, defaults: Defaults, error: StoreUnavailable) -> Ticket:
        """What policy says of a call that the store gave no answer for.  Raises Refused."""
        if defaults.on_store_error == "admit":
            return unheld(planned)
        if defaults.on_store_error == "slice":
            holds = tuple(map(_sliced, planned.reserve.holds))
            grant = self._slice.run(replace(planned.reserve, holds=holds, now=planned.now))
            if isinstance(grant, Granted):
                return held_here(planned, grant)
        if not isinstance(error, Spared):
            # It may have been held all the same: the answer is what was lost.
            self.owed.append(Owed(Settle(planned.reserve.id)))
        raise store_down(error)

    def settle(self, verb: Settle) -> None:
        """Charge this worker's own share; its journal is the store's business."""
        self._slice.run(replace(verb, entry=None, output=None, histories=()))

    def renew(self, ticket: Ticket, lease_ms: int) -> bool:
        """Lengthen the lease of a call held here."""
        return self._slice.run(Renew(ticket.id, lease_ms))

    def note(self, ticket: Ticket, ending: CutOff) -> None:
        """Write down how the call is to be charged should this process die."""
        if self.spool is not None:
            self.spool.opened(settle(ticket, ending))

    def over(self, id: str) -> None:
        """The store knows how that call ended."""
        if self.spool is not None:
            self.spool.over(id)

    def hopeless(self, verb: Settle, error: Exception) -> None:
        """The store answers, and will not take it."""
        if self.spool is not None:
            self.spool.set_aside(verb, str(error))

    def sync(self) -> None:
        """Wait until what is owed would survive a power cut."""
        if self.spool is not None:
            self.spool.sync()

    def inherit(self) -> None:
        """Owe what a process that is gone left unsettled, while the store answers and nothing is owed here."""
        if self.spool is None or self.owed or self._look_at is not None:
            return
        left = self.spool.inherit()
        if left.unsettled:
            log.warning("%d calls that a process left unsettled are settled now", len(left.unsettled))
        self.owed.extend(map(Owed, left.unsettled.values()))

    def owe(self, verb: Settle, ticket: Ticket, ending: Ending) -> None:
        """Keep a settlement for later, without the request that it is about."""
        if self.spool is not None:
            self.spool.owe(verb)
            if len(self.owed) == MOST_OWED:
                self._spill(self.spool)
        call = replace(ticket.call, messages=(), tools=(), schema=None)
        weighed = replace(ticket.weighed, call=call, body=b"")
        self.owed.append(Owed(verb, replace(ticket, weighed=weighed), ending))

    def _spill(self, spool: Spool) -> None:
        """Room for more: on disk they are inherited once the store answers."""
        try:
            spool.spill(owed.verb for owed in self.owed)
        except OSError as error:
            log.error("settlements cannot be left to %s, and the oldest is lost: %s", spool, error)
        else:
            self.owed.clear()

    def _left_alone(self) -> bool:
        now = self._clock()
        if self._look_at is None:
            return False
        if 0 < self._look_at - now <= LOOK_MS:  # a clock that was put back is no reason to wait
            return True
        # This caller looks; the others need not.
        self._look_at = now + LOOK_MS
        return False


def _sliced(hold: Hold) -> Hold:
    """A hold against a worker's own share; what is to be expected, a worker alone does not know."""
    if hold.limit is None:
        return replace(hold, history="")
    least = 1 if hold.counter.unit in WHOLE_UNITS else 0
    return replace(hold, limit=min(hold.limit, max(least, hold.limit // SHARE)), history="")


def store_down(error: StoreError) -> Refused:
    """The refusal for a ledger that cannot be asked."""
    return Refused(
        "store_down",
        "The ledger cannot be reached, so this request was not let through. Nothing was charged; try again shortly.",
        retry_after=STORE_RETRY_SECONDS,
        cause=str(error),
    )
