"""What happens at the gate, step by step, without waiting for anything.

A flow (`core.flow`) yields what must be waited for (a ledger verb, a pause, heavy work, a question to
a provider) and is sent the answer; `guard.py` drives it, once with `await` and once without.  So the
order of things is written once, here, and can be tested with plain values.
"""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from weighbridge.core.admission import Plan, Ticket, Weighed, admit, ceiling, plan, undecided, unheld
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import Reader, Tokenizer, estimate
from weighbridge.core.counting.calibration import UNCALIBRATED, Calibration
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import AS_SENT, Amendment
from weighbridge.core.dialects.sketch import abridged, giants, sketch
from weighbridge.core.errors import Refused, StoreError, StoreUnavailable
from weighbridge.core.flow import Flow, Pause, ask, heavy
from weighbridge.core.grant import decide
from weighbridge.core.ledger import Fetch, Granted, Moved, Peek, Settled, Version
from weighbridge.core.model import Call, Ending, RawCall
from weighbridge.core.policy import context, shelf
from weighbridge.core.policy.budget import facts_of, matching
from weighbridge.core.policy.model import ContextRule, Rules
from weighbridge.core.settlement import settle
from weighbridge.counters import Remote
from weighbridge.hooks import Admitted, Closed, Hook, TurnedAway, Unsettled

T = TypeVar("T")

RULES_MS: Final = 500
"""How old the policies may be before the store is asked for newer ones (promised: one second)."""
INLINE_BYTES: Final = 64 * 1024
"""Bodies above this are weighed as heavy work, so that an event loop keeps turning."""
SKETCHED_BYTES: Final = 4 * 1024 * 1024
"""Bodies above this are looked at before they are read (`core.dialects.sketch`)."""
SKETCH_BYTES: Final = (1024 * 1024, 6 * 1024 * 1024, 16 * 1024 * 1024)
"""How much of each giant string or list is read first: enough for windows of 200,000 tokens, of a million,
and for blanks, of which a token holds up to 128."""
STORE_RETRY_SECONDS: Final = 5
SETTLE_PAUSES: Final = (0.05, 0.2, 1.0, 3.0, 10.0)
"""Seconds between attempts at a settlement, always with the same id."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Everything that weighs: formats, models, tokenizers."""

    catalogue: Catalogue
    tokenizer: Callable[[str], Tokenizer]
    provider_of: Callable[[Call], str]
    """Which provider a call goes to, where the way in did not say."""
    reader: Reader | None = None
    """Reads the text of documents."""
    calibration: Calibration = UNCALIBRATED
    """What the user's own bills say about the estimates."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Configured provider -> the name its host goes by in tables, where that is another."""

    def detoured(self, raw: RawCall, rules: Rules, rule: ContextRule) -> Weighed:
        """A request too long for a rule, by the way out the rule names: rerouted, or trimmed."""
        if rule.on_exceed == "reroute":
            return self.count(raw, rules, Amendment(model=rule.reroute_to))
        return self._trim(raw, rules, rule.max_input_tokens)

    def _trim(self, raw: RawCall, rules: Rules, limit: int) -> Weighed:
        """The call with as few of its oldest turns left out as bring it under the limit; where even
        its last turn is too long, as that is."""

        def trimmed(turns: int) -> Weighed:
            return self.count(raw, rules, Amendment(drop_turns=turns))

        turns = sum(message.role == "user" for message in self._parse(raw).messages)
        drops = range(1, max(2, turns))
        at = bisect_left(drops, True, key=lambda n: trimmed(n).estimate.upper <= limit)
        return trimmed(drops[min(at, len(drops) - 1)])

    def count(self, raw: RawCall, rules: Rules, detour: Amendment = AS_SENT) -> Weighed:
        """The request as it would be sent by a detour, weighed."""
        sent = self.amended(raw, detour)
        for shorter in _sketches(sent):
            with suppress(Refused):
                weighed = self._count(shorter, rules, detour)
                # Media cut short say nothing; text that is too long already is too long.
                if not weighed.estimate.whole and not weighed.estimate.parts.media:
                    return replace(weighed, body=sent.body)
        return self._count(sent, rules, detour)

    def _count(self, raw: RawCall, rules: Rules, detour: Amendment) -> Weighed:
        call = self._parse(raw)
        provider = raw.provider or self.provider_of(call)
        model = self.catalogue.model(call.model, provider)
        facts = facts_of(call, model, raw.principal, provider)
        policies = matching(rules.policies, facts)
        # Who asks for a count wants all of it; who sends is refused at the limit, whatever comes behind.
        limit = None if raw.counts else ceiling(model, policies, call.inputs)
        tokenizer, host = self.tokenizer(model.tokenizer), self.hosts.get(provider, provider)
        line = self.calibration.line(host, call)
        counted = estimate(call, model, tokenizer, limit, line, reader=self.reader, host=host)
        return Weighed(call, model, counted, raw.principal, provider, facts, policies, raw.body, detour)

    def amended(self, raw: RawCall, detour: Amendment) -> RawCall:
        """The request as it would be sent."""
        if detour == AS_SENT:
            return raw
        body = DIALECTS[raw.dialect].amend(raw.body, self._parse(raw), detour)
        return replace(raw, body=body, model=raw.model and (detour.model or raw.model))

    def _parse(self, raw: RawCall) -> Call:
        dialect = DIALECTS[raw.dialect]
        parse = dialect.parse_count if raw.counts else None
        return (parse or dialect.parse)(raw)


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
    ) -> None:
        self.lease_ms = lease_ms
        self._scale = scale
        self._clock = clock
        self._remote = remote
        self._hooks = tuple(hooks)
        self._new_id = ids
        self._skew = 0
        self._rules: Rules | None = None
        self._asked_at = 0

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
        self._tell(Admitted(ticket))
        return ticket

    def closing(self, ticket: Ticket, ending: Ending) -> Flow[Settled]:
        """Settle.  Raises StoreError where the store would not take it after several attempts."""
        verb = settle(ticket, ending)
        for pause in (*SETTLE_PAUSES, None):
            try:
                settled = yield from ask(verb)
            except StoreError as error:
                if pause is None:
                    self._tell(Unsettled(ticket, ending, str(error)))
                    raise
                yield Pause(pause)
            else:
                self._tell(Closed(ticket, ending, settled.outcome, verb.entry.nano_usd if verb.entry else 0))
                return settled
        raise AssertionError("unreachable: the last attempt returns or raises")

    def checking(self, raw: RawCall) -> Flow[Ticket]:
        """The ticket `opening` would give, holding nothing.  Raises Refused."""
        rules = yield from self._in_force()
        weighed = yield from self._weigh(raw, rules)
        planned = self._plan(weighed, rules, "check")
        try:
            states = yield from ask(Peek(tuple(h.counter for h in planned.reserve.holds)))
        except StoreError as error:
            raise store_down(error) from error
        return admit(planned, decide(planned.reserve, states, self.now()))

    def weighing(self, raw: RawCall) -> Flow[Weighed]:
        """Count only (the providers' count routes).  Raises Refused."""
        return (yield from self._weigh(raw, self._rules or Rules()))

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
        return plan(weighed, rules.defaults, id, self.now(), self.lease_ms)

    def _hold(self, weighed: Weighed, rules: Rules) -> Flow[Ticket]:
        id = self._new_id()
        planned = self._plan(weighed, rules, id)
        if not planned.reserve.holds:
            return admit(planned, Granted(planned.reserve.want, (), self.now()))
        try:
            grant = yield from ask(planned.reserve)
            while isinstance(grant, Moved):
                # The store's clock is in another window than ours: go by its clock from now on.
                self._skew = grant.now - self._clock()
                planned = self._plan(weighed, rules, id)
                grant = yield from ask(planned.reserve)
        except StoreUnavailable as error:
            if rules.defaults.on_store_error == "admit":
                return unheld(planned)
            raise store_down(error) from error
        except StoreError as error:
            raise store_down(error) from error
        return admit(planned, grant)

    def _in_force(self) -> Flow[Rules]:
        """The policies in force.  With the store down, those last read; none ever read: Refused."""
        if self._rules is not None and self._clock() - self._asked_at < RULES_MS:
            return self._rules
        try:
            version = yield from ask(Version("policies"))
            if self._rules is None or version != self._rules.version:
                policies, defaults = shelf.read((yield from ask(Fetch("policies"))))
                self._rules = Rules(policies, defaults, version)
            self._asked_at = self._clock()
        except StoreError as error:
            if self._rules is None:
                raise store_down(error) from error
        return self._rules

    def _tell(self, event: Admitted | TurnedAway | Closed | Unsettled) -> None:
        for hook in self._hooks:
            hook(event)


def _sketches(raw: RawCall) -> Iterator[RawCall]:
    """A giant request with less and less of it left out; nothing for others, which are read as they are."""
    if raw.counts or len(raw.body) < SKETCHED_BYTES:
        return
    spans = giants(raw.body)
    for keep in SKETCH_BYTES:
        shorter = abridged(sketch(raw.body, spans, keep), keep)
        if len(shorter) < len(raw.body):
            yield replace(raw, body=shorter)


def _work(raw: RawCall, work: Callable[[], T]) -> Flow[T]:
    """Work on a request, which is heavy where the body is."""
    return work() if len(raw.body) <= INLINE_BYTES else (yield from heavy(work))


def store_down(error: StoreError) -> Refused:
    """The refusal for a ledger that cannot be asked."""
    return Refused(
        "store_down",
        "The ledger cannot be reached, so this request was not let through. Nothing was charged; try again shortly.",
        retry_after=STORE_RETRY_SECONDS,
        cause=str(error),
    )
