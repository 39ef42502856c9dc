"""The scale: everything that weighs a request, and the two detours it can be sent on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from weighbridge.core.admission import Weighed, ceiling
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import Reader, Tokenizer, estimate
from weighbridge.core.counting.answered import answered
from weighbridge.core.counting.calibration import UNCALIBRATED, Calibration
from weighbridge.core.counting.lesson import Taught, Topic, apply, topic_of
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import AS_SENT, Amendment
from weighbridge.core.dialects.sketch import abridged, giants, sketch
from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, CutOff, Model, RawCall
from weighbridge.core.policy.budget import facts_of, matching
from weighbridge.core.policy.model import ContextRule, Rules

SKETCHED_BYTES: Final = 4 * 1024 * 1024
"""Bodies above this are looked at before they are read (`core.dialects.sketch`)."""
SKETCH_BYTES: Final = (1024 * 1024, 6 * 1024 * 1024, 16 * 1024 * 1024)
"""How much of each giant string or list is read first: enough for windows of 200,000 tokens, of a million,
and for blanks, of which a token holds up to 128."""


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
    lessons: Callable[[Topic], Taught] | None = None
    """What settlements say about the estimates; None: nobody listens."""
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
        line, basis = self.calibration.line(host, call), None
        if self.lessons is None:
            counted = estimate(call, model, tokenizer, limit, line, reader=self.reader, host=host)
        else:
            topic = topic_of(model.family, host, call, line)
            drawn = self.lessons(topic)
            counted = estimate(call, model, tokenizer, drawn.before(limit), line, reader=self.reader, host=host)
            counted, basis = apply(drawn, topic, call, counted)
        return Weighed(call, model, counted, raw.principal, provider, facts, policies, raw.body, detour, basis)

    def counted(self, model: Model, seen: CutOff) -> CutOff:
        """An answer that broke off, with the tokens that went by instead of their text."""
        return replace(seen, seen_tokens=answered(seen, model, self.tokenizer(model.tokenizer)), text="")

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


def _sketches(raw: RawCall) -> Iterator[RawCall]:
    """A giant request with less and less of it left out; nothing for others, which are read as they are."""
    if raw.counts or len(raw.body) < SKETCHED_BYTES:
        return
    spans = giants(raw.body)
    for keep in SKETCH_BYTES:
        shorter = abridged(sketch(raw.body, spans, keep), keep)
        if len(shorter) < len(raw.body):
            yield replace(raw, body=shorter)
