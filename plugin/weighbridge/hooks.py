"""What weighbridge tells about itself: one event per decision and per ending, to whoever listens.

A hook is a callable.  Metrics, spans and alerts are hooks; the guard knows none of them.  Events
carry names and numbers, never prompts, answers or secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from weighbridge.core.admission import Ticket, Weighed
from weighbridge.core.errors import Refused
from weighbridge.core.ledger import Entry, Outcome, Unit
from weighbridge.core.model import Ending
from weighbridge.core.policy.budget import amount_text

log = logging.getLogger("weighbridge")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call passed the gate."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """A call was refused; `weighed` is None where it could not even be read."""

    error: Refused
    weighed: Weighed | None


@dataclass(frozen=True, slots=True)
class Closed:
    """A call ended and was settled; `nano_usd` is what it was charged."""

    ticket: Ticket
    ending: Ending
    outcome: Outcome
    nano_usd: int
    entry: Entry | None = None
    """What was used, as the journal has it; None where nothing was."""

    @property
    def refunded_nano(self) -> int:
        """Nano-dollars that were held and are given back."""
        return max(0, self.ticket.held_nano - self.nano_usd)

    @property
    def overrun_nano(self) -> int:
        """Nano-dollars charged beyond what was held."""
        return max(0, self.nano_usd - self.ticket.held_nano)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A settlement the store would not take.  It is kept, on disk where the store is no `memory://`, and
    repeated when the store answers again; until then its hold's lease may end."""

    ticket: Ticket
    ending: Ending
    error: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A settlement took a counter over a share of its limit that its policy warns at (`warn_at`).
    Told once a window and share.  Amounts are in `unit`."""

    policy: str
    scope: Mapping[str, str]
    unit: Unit
    limit: int
    spent: int
    share: float


Event = Admitted | TurnedAway | Closed | Unsettled | Warned


class Hook(Protocol):
    """Listens to events.  Must not raise and must not wait."""

    def __call__(self, event: Event) -> None: ...


def logging_hook(event: Event) -> None:
    """Writes refusals and lost settlements to the `weighbridge` logger."""
    match event:
        case TurnedAway(error) if error.cause:
            log.error("refused reason=%s: %s", error.reason, error.cause)
        case TurnedAway(error, weighed):
            model = weighed.call.model if weighed else "?"
            log.info("refused reason=%s model=%s: %s", error.reason, model, error.message)
        case Unsettled(ticket, ending, error):
            how = type(ending).__name__
            log.error("unsettled id=%s model=%s ending=%s: %s", ticket.id, ticket.call.model, how, error)
        case Closed(ticket, _, "late", nano) if ticket.holds:
            log.warning("late settlement id=%s charged=%d nano-USD", ticket.id, nano)
        case Warned(policy, scope, unit, limit, spent, share):
            who = ", ".join(f"{name} {value}" for name, value in scope.items()) or "everyone"
            spent_text, limit_text = amount_text(spent, unit), amount_text(limit, unit)
            log.warning("policy %s: %s spent %s, over %g %% of %s", policy, who, spent_text, share * 100, limit_text)
        case _:
            log.debug("%s id=%s", type(event).__name__, event.ticket.id)
