"""What happens at the gate, step by step, without waiting for anything.

A flow (`core.flow`) yields what must be waited for (a ledger verb, a pause, heavy work, a question to
a provider) and is sent the answer; `guard.py` drives it, once with `await` and once without.  So the
order of things is written once, here, and can be tested with plain values.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from weighbridge.core.admission import Plan, Ticket, Weighed, admit, plan, undecided, unheld
from weighbridge.core.errors import Refused, StoreError, StoreUnavailable, WeighbridgeError
from weighbridge.core.flow import Flow, Pause, heavy
from weighbridge.core.grant import WORST_CASE, decide
from weighbridge.core.history import Recall
from weighbridge.core.ledger import Ended, Extend, Granted, Moved, Peek, Renew, Settle, Settled, Short, Verb
from weighbridge.core.model import CutOff, Ending, RawCall
from weighbridge.core.policy import context
from weighbridge.core.policy.model import Rules
from weighbridge.core.settlement import Wake, crossings, settle
from weighbridge.corrector import Corrector
from weighbridge.counters import Remote
from weighbridge.hooks import Admitted, Closed, Event, Hook, TurnedAway, Unsettled, Warned
from weighbridge.ledger.spool import Spool
from weighbridge.outage import Outage, Spared, store_down
from weighbridge.rulebook import Rulebook
from weighbridge.scale import Scale

T = TypeVar("T")

INLINE_BYTES: Final = 64 * 1024
"""Bodies above this are weighed as heavy work, so that an event loop keeps turning."""
SETTLE_PAUSES: Final = (0.05, 0.2, 1.0, 3.0, 10.0)
"""Seconds between attempts at a settlement, always with the same id."""
SPOOLED_PAUSES: Final = (0.05,)
"""The same where it is on disk: nobody needs to wait for the end of an outage."""
REPAID: Final = 100
"""Settlements made up for at the end of one call, at most, once the store answers again."""


class Desk:
    """The gate's flows, and the little it remembers: policies in force, the store's clock."""

    def __init__(
        self,
        scale: Scale,
        clock: Callable[[], int],
        *,
        remote: Remote | None = None,
        hooks: Iterable[Hook] = (),
        lease_ms: int = 120_000,
        ids: Callable[[], str] = lambda: uuid.uuid4().hex,
        spool: Spool | None = None,
        corrector: Corrector | None = None,
    ) -> None:
        self.lease_ms = lease_ms
        self._scale = scale
        self.catalogue = scale.catalogue
        self._clock = clock
        self._remote = remote
        self._corrector = corrector
        self._hooks = tuple(hooks)
        self._new_id = ids
        self._skew = 0
        self._outage = Outage(self.now, spool)
        self._policies = Rulebook(clock, self._outage)
        self._inherits = spool is not None

    def now(self) -> int:
        """The store's time, as far as this process knows it (milliseconds)."""
        return self._clock() + self._skew

    def opening(self, raw: RawCall) -> Flow[Ticket]:
        """Weigh, decide and hold.  Raises Refused."""
        weighed = None
        try:
            rules = yield from self._in_force()
            weighed = yield from self._weigh(raw, rules)
            ticket = yield from self._hold(weighed, rules)
        except Refused as error:
            self._tell(TurnedAway(error, weighed))
            raise
        self._outage.note(ticket, Wake(ticket).first())
        self._tell(Admitted(ticket))
        return ticket

    def closing(self, ticket: Ticket, ending: Ending) -> Flow[Settled]:
        """Settle.  Raises StoreError where the store would not take it after several attempts, or, where
        there is a spool, at once in an outage: it is owed then, on disk, and settled later."""
        ending = yield from self._evidence(ticket, ending)
        verb = settle(ticket, ending)
        if ticket.local:
            self._outage.settle(verb)
        try:
            settled = yield from self._settling(verb)
        except StoreError as error:
            self._outage.owe(verb, ticket, ending)
            self._tell(Unsettled(ticket, ending, str(error)))
            yield from heavy(self._outage.sync)
            raise
        except GeneratorExit:  # whoever closes the call was cancelled
            self._outage.owe(verb, ticket, ending)
            raise
        self._closed(ticket, ending, verb, settled)
        if self._inherits:
            self._inherits = False
            yield from heavy(self._outage.inherit)
        yield from self._repay()
        yield from self._learn()
        return settled

    def _evidence(self, ticket: Ticket, ending: Ending) -> Flow[Ending]:
        """The ending; of an answer that broke off, with the tokens of its text counted."""
        if not isinstance(ending, CutOff) or ending.seen_tokens is not None:
            return ending
        try:
            return (yield from heavy(partial(self._scale.counted, ticket.weighed.model, ending)))
        except GeneratorExit:  # whoever closes the call was cancelled
            self._outage.owe(settle(ticket, ending), ticket, ending)
            raise

    def _settling(self, verb: Settle) -> Flow[Settled]:
        spooled = self._outage.spool is not None
        for pause in SPOOLED_PAUSES if spooled else SETTLE_PAUSES:
            try:
                settled = yield from self._outage.asking(verb, insist=not spooled)
                break
            except Spared:
                raise
            except StoreError:
                yield Pause(pause)
        else:
            settled = yield from self._outage.asking(verb, insist=True)
        self._outage.over(verb.id)
        return settled

    def noting(self, ticket: Ticket, ending: CutOff) -> None:
        """Write down how a running call is to be charged should this process die (`settlement.Wake`)."""
        self._outage.note(ticket, ending)

    def forget(self, ticket: Ticket) -> None:
        """Another guard settled it."""
        self._outage.over(ticket.id)

    def repaying(self) -> Flow[int]:
        """Settle what is owed, or was left by a process that is gone; how many were."""
        yield from heavy(self._outage.inherit)
        return (yield from self._repay())

    def shut(self) -> None:
        """Let go of the spool: what is unsettled is left to the next process."""
        if self._outage.spool is not None:
            self._outage.spool.close()

    def checking(self, raw: RawCall) -> Flow[Ticket]:
        """The ticket `opening` would give, holding nothing.  Raises Refused."""
        rules = yield from self._in_force()
        weighed = yield from self._weigh(raw, rules)
        planned = self._plan(weighed, rules, "check")
        ask, holds = self._outage.asking, planned.reserve.holds
        try:
            states = yield from ask(Peek(tuple(hold.counter for hold in holds)))
            expected = (yield from ask(Recall(holds))) if any(hold.history for hold in holds) else WORST_CASE
        except StoreError as error:
            raise store_down(error) from error
        return admit(planned, decide(planned.reserve, states, self.now(), expected))

    def renewing(self, ticket: Ticket) -> Flow[bool]:
        """Lengthen a running call's lease.  False: its hold is no longer open."""
        if ticket.local:
            return self._outage.renew(ticket, self.lease_ms)
        return (yield from self._outage.asking(Renew(ticket.id, self.lease_ms)))

    def extending(self, more: Extend) -> Flow[Granted | Short | Ended | None]:
        """Hold for more of a running stream.  None: the store did not answer; it goes on as far as it is
        held for, and asks again."""
        try:
            return (yield from self._outage.asking(more))
        except StoreError:
            return None

    def asking(self, verb: Verb[T]) -> Flow[T]:
        """Put any verb to the store, unless it did not answer a moment ago.  Raises StoreError."""
        return (yield from self._outage.asking(verb))

    def weighing(self, raw: RawCall) -> Flow[Weighed]:
        """Count only (the providers' count routes).  Raises Refused."""
        return (yield from self._weigh(raw, self._policies.known or Rules()))

    def _weigh(self, raw: RawCall, rules: Rules) -> Flow[Weighed]:
        scale = self._scale
        weighed = yield from _work(raw, lambda: scale.count(raw, rules))
        weighed = yield from self._ask(raw, weighed)
        rule = context.exceeded(weighed.policies, weighed.estimate)
        if rule is None or raw.counts:
            return weighed
        weighed = yield from _work(raw, lambda: scale.detoured(raw, rules, rule))
        return (yield from self._ask(raw, weighed))

    def _ask(self, raw: RawCall, weighed: Weighed) -> Flow[Weighed]:
        """The call with its provider's own count, where that is wanted and decides something."""
        remote = self._remote
        if remote is None or not weighed.estimate.whole:
            return weighed
        if remote.when == "undecided" and (raw.counts or not undecided(weighed)):
            return weighed
        sent = yield from _work(raw, lambda: self._scale.amended(raw, weighed.detour))
        return replace(weighed, estimate=(yield from remote.asking(sent, weighed)))

    def _plan(self, weighed: Weighed, rules: Rules, id: str) -> Plan:
        return plan(weighed, rules, id, self.now(), self.lease_ms)

    def _hold(self, weighed: Weighed, rules: Rules) -> Flow[Ticket]:
        id = self._new_id()
        planned = self._plan(weighed, rules, id)
        if not planned.reserve.holds:
            return unheld(planned)
        ask = self._outage.asking
        try:
            grant = yield from ask(planned.reserve)
            while isinstance(grant, Moved):
                # The store's clock is in another window than ours: go by its clock from now on.
                self._skew = grant.now - self._clock()
                planned = self._plan(weighed, rules, id)
                grant = yield from ask(planned.reserve)
        except StoreUnavailable as error:
            return self._outage.decide(planned, rules.defaults, error)
        except StoreError as error:
            raise store_down(error) from error
        return admit(planned, grant)

    def _in_force(self) -> Flow[Rules]:
        first = self._policies.known is None
        rules = yield from self._policies.reading()
        if first:
            yield from self._learn()
        return rules

    def _repay(self) -> Flow[int]:
        """Settlements the store would not take while it was down; how many it took now."""
        outage, repaid = self._outage, 0
        while outage.owed and repaid < REPAID:
            owed = outage.owed.popleft()
            try:
                settled = yield from outage.asking(owed.verb)
            except StoreUnavailable:
                outage.owed.appendleft(owed)
                break
            except WeighbridgeError as error:  # told as `Unsettled` when it was tried first
                outage.hopeless(owed.verb, error)
                continue
            except GeneratorExit:  # whoever was closing a call was cancelled meanwhile: it is owed as before
                outage.owed.appendleft(owed)
                raise
            repaid += 1
            outage.over(owed.verb.id)
            if owed.ticket is not None and owed.ending is not None:
                self._closed(owed.ticket, owed.ending, owed.verb, settled)
        return repaid

    def _learn(self) -> Flow[None]:
        if self._corrector is not None:
            yield from self._corrector.learning(self._outage.asking)

    def parting(self) -> Flow[None]:
        """Tell the store what was learnt and not told yet."""
        if self._corrector is not None:
            yield from self._corrector.parting(self._outage.asking)

    def _closed(self, ticket: Ticket, ending: Ending, verb: Settle, settled: Settled) -> None:
        if self._corrector is not None:
            self._corrector.note(ticket, ending)
        nano = verb.entry.nano_usd if verb.entry else 0
        self._tell(Closed(ticket, ending, settled.outcome, nano, verb.entry))
        for claim, spent, share in crossings(ticket, verb, settled):
            counter = claim.hold.counter
            self._tell(Warned(counter.policy, dict(counter.scope), counter.unit, claim.limit, spent, share))

    def _tell(self, event: Event) -> None:
        for hook in self._hooks:
            hook(event)


def _work(raw: RawCall, work: Callable[[], T]) -> Flow[T]:
    """Work on a request, which is heavy where the body is."""
    return work() if len(raw.body) <= INLINE_BYTES else (yield from heavy(work))
