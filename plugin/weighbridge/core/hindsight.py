"""Recorded traffic seen again: who sent each row and when, what it used, and what policies made of it.

Names and numbers only: what was said in a request never leaves it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from weighbridge.core.admission import Ticket, Weighed
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.errors import Refused
from weighbridge.core.exchanges import Exchange
from weighbridge.core.ledger import Settle, State
from weighbridge.core.model import Json, Principal, RawCall, Usage
from weighbridge.core.policy import context
from weighbridge.core.policy.model import Policy
from weighbridge.core.pricing import cost, tier

WHEN: Final = ("at", "time", "timestamp", "created_at", "start_time")
"""Where a row may say when it was sent: RFC 3339, or seconds or milliseconds since the epoch."""
HOLDERS: Final = ("usage", "usageMetadata")
"""Under which an answer keeps what a row keeps as `usage`."""
FIRST: Final = 5
"""Refusals told with their rows, of each policy."""
MILLISECONDS_FROM: Final = 10**11
"""Numbers above are milliseconds: as seconds, they would lie thousands of years ahead."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A row as it was sent."""

    id: str
    raw: RawCall
    at: int | None
    """Milliseconds; None where the row does not say."""
    takes: int | None
    """Milliseconds until the answer was there; None where the row does not say."""
    usage: Usage | None
    """What was billed; None where the row does not say."""
    named: bool
    """Whether the row says who sent it."""


def sent(row: Mapping[str, Any], exchange: Exchange, who: Principal) -> Sent:
    """The row as it was sent, by `who` where it does not say.  Raises Refused("malformed") for a time that is none."""
    mine = {name: row[name] for name in ("org", "team", "user", "key") if isinstance(row.get(name), str)}
    tags = row.get("tags")
    if isinstance(tags, Mapping):
        mine["tags"] = {**who.tags, **{str(name): str(value) for name, value in tags.items()}}
    raw = replace(exchange.raw, counts=False, principal=replace(who, **mine))
    takes = _count(row, "duration_ms") if "duration_ms" in row else None
    return Sent(exchange.id, raw, _when(row), takes, billed(row, raw.dialect), bool(mine))


def _when(row: Mapping[str, Any]) -> int | None:
    said = next((row[name] for name in WHEN if row.get(name) is not None), None)
    if said is None:
        return None
    try:
        if isinstance(said, str):
            moment = datetime.fromisoformat(said)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        number = float(said) if not isinstance(said, bool) else -1.0
        return _positive(number if number >= MILLISECONDS_FROM else number * 1000)
    except (ValueError, TypeError, OverflowError):
        raise Refused("malformed", "the row's time is none: write RFC 3339, or seconds since the epoch") from None


def _positive(number: float) -> int:
    if not 0 <= number < MILLISECONDS_FROM * 100:
        raise ValueError(number)
    return int(number)


def billed(row: Mapping[str, Any], dialect: str) -> Usage | None:
    """What the row was billed, in full where its usage can be read, else by its token counts."""
    counted = Usage(
        input=_count(row, "input_tokens"),
        output=_count(row, "output_tokens"),
        cache_read=_count(row, "cached_tokens"),
        reasoning=_count(row, "reasoning_tokens"),
    )
    verbatim = row.get("usage")
    for holder in HOLDERS if isinstance(verbatim, Mapping) else ():
        found = DIALECTS[dialect].usage({holder: verbatim})
        if found is not None and (found.input, found.output) != (0, 0):
            return found
    return counted if counted.input or counted.output else None


def _count(row: Mapping[str, Any], name: str) -> int:
    value: Json = row.get(name)
    return value if type(value) is int and 0 < value < MILLISECONDS_FROM else 0


def worth(weighed: Weighed, usage: Usage | None) -> int:
    """Nano-dollars a call was billed; 0 where nobody knows."""
    price = tier(weighed.model, usage.tier or weighed.call.tier) if usage is not None else None
    return 0 if price is None or usage is None else cost(price, usage)


@dataclass(slots=True)
class Score:
    """What one policy did."""

    policy: Policy
    matched: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    """Decision ("admit", "clamp", "trim", "reroute") -> calls."""
    refused: Counter[str] = field(default_factory=Counter)
    """Reason -> calls this policy refused."""
    shadowed: int = 0
    """Calls it would have refused were it enforced."""
    spent: int = 0
    """All its counters together, in its unit."""
    peak: int = 0
    """The most that was spent and held on one counter at a time."""
    peak_scope: tuple[tuple[str, str], ...] = ()
    scopes: set[tuple[tuple[str, str], ...]] = field(default_factory=set)
    first: list[tuple[str, str, int]] = field(default_factory=list)
    """(row, reason, when) of the first calls it refused."""


@dataclass(slots=True)
class Hindsight:
    """What became of the rows, in all and by policy."""

    scores: dict[str, Score]
    rows: int = 0
    decided: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    """Why rows could not be read -> how many."""
    spent: int = 0
    """Nano-dollars of the calls let through."""
    kept: int = 0
    """Nano-dollars the refused calls were billed when they were sent."""
    overrun: int = 0
    first: list[tuple[str, str, int]] = field(default_factory=list)

    def admitted(self, ticket: Ticket) -> None:
        """A call passed, and is held."""
        self.decided[ticket.decision] += 1
        for policy in ticket.weighed.policies:
            score = self.scores[policy.name]
            score.matched += 1
            score.decided[ticket.decision] += 1
            score.shadowed += policy.name in ticket.shadow
        for hold, state in zip(ticket.holds, ticket.states, strict=False):
            self._seen(hold.counter.policy, hold.counter.scope, state)

    def _seen(self, policy: str, scope: tuple[tuple[str, str], ...], state: State) -> None:
        score = self.scores.get(policy)
        if score is None:
            return
        score.scopes.add(scope)
        if state.spent + state.held > score.peak:
            score.peak, score.peak_scope = state.spent + state.held, scope

    def settled(self, verb: Settle, states: tuple[State, ...]) -> None:
        """A call ended, and left its counters so."""
        self.spent += verb.entry.nano_usd if verb.entry else 0
        self.overrun += verb.entry.overrun_nano_usd if verb.entry else 0
        for charge in verb.charges:
            if charge.counter.policy in self.scores:
                self.scores[charge.counter.policy].spent += charge.amount
        for charge, state in zip(verb.charges, states, strict=False):
            self._seen(charge.counter.policy, charge.counter.scope, state)

    def turned_away(self, row: Sent, error: Refused, weighed: Weighed | None, at: int) -> None:
        """A call was refused; by the gate itself where no policy stands in the way."""
        self.refused[error.reason] += 1
        told = (row.id, error.reason, at)
        self.first += [told] if len(self.first) < FIRST else []
        if weighed is None:
            return
        self.kept += worth(weighed, row.usage)
        in_the_way = {obstacle.policy for obstacle in error.obstacles} or _rules_against(weighed)
        for policy in weighed.policies:
            score = self.scores[policy.name]
            score.matched += 1
            if policy.name in in_the_way:
                score.refused[error.reason] += 1
                score.first += [told] if len(score.first) < FIRST else []


def _rules_against(weighed: Weighed) -> set[str]:
    """The policies whose model list or prompt limit refuses the call."""
    rerouted = weighed.detour.model is not None
    return {
        policy.name
        for policy in weighed.policies
        if policy.mode == "enforce" and context.refusal(policy, weighed.facts, weighed.estimate, rerouted=rerouted)
    }
