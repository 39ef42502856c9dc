"""The straight line, second half: how a call ended becomes what the ledger is told.

    Ticket, Ending ─settle→ Settle        pure
    Settle ─ledger→ Settled               one call, never refused

What may be given back follows from the type of the ending (`core.endings`): `Reported` settles exactly,
`CutOff` charges the most of what was seen, counted and reported, `NeverSent` gives everything back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from weighbridge.core.admission import Ticket
from weighbridge.core.endings import REASONS, Refund, refund
from weighbridge.core.ledger import Charge, Entry, Settle, Settled, Unit
from weighbridge.core.model import CutOff, Ending, NeverSent, Reported, Usage
from weighbridge.core.policy.budget import Claim
from weighbridge.core.pricing import cost, tier

BYTES_PER_TOKEN = 3
"""Bytes of generated text taken for one token where nobody reported: English has about 4.5,
Chinese 3 and less per character, so this errs towards charging more."""

DIED = "the worker died"
STEP = 32
"""Output tokens a stream is noted to have generated before the first is seen."""

USED: Mapping[Unit, Callable[[Usage, int], int]] = {
    "nano_usd": lambda usage, nano: nano,
    "tokens": lambda usage, nano: usage.input + usage.tool_input + usage.output,
    "input_tokens": lambda usage, nano: usage.input + usage.tool_input,
    "output_tokens": lambda usage, nano: usage.output,
    "requests": lambda usage, nano: 1,
    "calls": lambda usage, nano: 0,
}
"""Unit -> what a settled call is charged on a counter of that unit."""


def settle(ticket: Ticket, ending: Ending) -> Settle:
    """What the ledger is told when a call has ended."""
    match ending:
        case NeverSent():
            return Settle(ticket.id)
        case Reported(usage):
            # Only what a provider reports teaches how much output to expect.
            return replace(_charge(ticket, usage, "reported"), output=usage.output, histories=_histories(ticket))
        case CutOff(reason):
            return _charge(ticket, conservative(ticket, ending), f"cut off: {reason}{REASONS[_refund(ticket, ending)]}")
    assert_never(ending)


def conservative(ticket: Ticket, ending: CutOff) -> Usage:
    """The usage charged where nobody reported one: at least what went by."""
    known = ending.partial or Usage()
    kept = {"nothing": ticket.units, "unheld": ticket.covered}.get(_refund(ticket, ending), 0)
    return replace(
        known,
        input=known.input or ticket.weighed.estimate.tokens,
        output=max(written(ending, ticket.covered), kept),
    )


def _refund(ticket: Ticket, ending: Ending) -> Refund:
    return refund(ticket.call, ticket.weighed.model.family, ending)


def written(seen: CutOff, covered: int = 0) -> int:
    """Output tokens that went by, by the evidence: rather too many than too few.  The hold of a stream runs
    ahead of its bytes, so what is counted with a margin is more than was `covered` only if these say so."""
    known = 0 if seen.partial is None else seen.partial.output
    counted = by_size = -(-seen.seen_bytes // BYTES_PER_TOKEN)
    if seen.seen_tokens is not None:
        counted = min(seen.seen_tokens, max(covered, by_size))
    return max(known, counted, seen.seen_events)


class Wake:
    """What to note of one call, so that it is charged should its worker die: never less than what went
    by, and somewhat more, so that not every chunk needs a note."""

    def __init__(self, ticket: Ticket) -> None:
        self._stream = ticket.call.stream
        self._noted = STEP
        self._input = 0

    def first(self) -> CutOff:
        """Before it is sent."""
        return CutOff(DIED, seen_bytes=self._noted * BYTES_PER_TOKEN if self._stream else 0)

    def due(self, seen: CutOff) -> CutOff | None:
        """Before this is passed on; None: it is noted already."""
        tokens = written(seen)
        known = 0 if seen.partial is None else seen.partial.input
        if tokens <= self._noted and known == self._input:
            return None
        self._noted, self._input = max(self._noted, tokens + tokens // 4 + STEP), known
        return CutOff(DIED, seen.partial, seen_bytes=self._noted * BYTES_PER_TOKEN)


def crossings(ticket: Ticket, verb: Settle, settled: Settled) -> Iterator[tuple[Claim, int, float]]:
    """The shares of a limit that this settlement went over: (whose limit, spent now, share of it).
    What is spent only grows, so a share is crossed once in a window."""
    claims = (claim for claim in ticket.claims if claim.spends)
    for claim, charge, state in zip(claims, verb.charges, settled.states, strict=False):
        for share in claim.policy.warn_at:
            if state.spent - charge.amount < share * claim.limit <= state.spent:
                yield claim, state.spent, share


def _histories(ticket: Ticket) -> tuple[str, ...]:
    """Each once: a limit and a share of it go by the same one."""
    return tuple(dict.fromkeys(hold.history for hold in ticket.holds if hold.history))


def _charge(ticket: Ticket, usage: Usage, ending: str) -> Settle:
    price = tier(ticket.weighed.model, usage.tier or ticket.call.tier) or ticket.price
    nano = 0 if price is None else cost(price, usage)
    counters = [claim.hold.counter for claim in ticket.claims if claim.spends]
    charges = tuple(Charge(counter, USED[counter.unit](usage, nano)) for counter in counters)
    return Settle(ticket.id, charges, _entry(ticket, usage, nano, ending, charges))


def _entry(ticket: Ticket, usage: Usage, nano: int, ending: str, charges: tuple[Charge, ...]) -> Entry:
    weighed, who = ticket.weighed, ticket.weighed.principal
    return Entry(
        id=ticket.id,
        org=who.org or "",
        team=who.team or "",
        user=who.user or "",
        key=who.key or "",
        tags=who.tags,
        model=weighed.call.model,
        provider=weighed.provider,
        dialect=weighed.call.dialect,
        ending=ending,
        input=usage.input,
        output=usage.output,
        cached=usage.cache_read,
        reasoning=usage.reasoning,
        nano_usd=nano,
        held_nano_usd=ticket.held_nano,
        overrun_nano_usd=max(0, nano - ticket.held_nano),
        estimate=weighed.estimate.tokens,
        upper=weighed.estimate.upper,
        method=weighed.estimate.method,
        decision=ticket.decision,
        shadow=",".join(ticket.shadow),
        charges=tuple((c.counter.field, c.amount) for c in charges),
    )
