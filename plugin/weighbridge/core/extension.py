"""A stream that may outgrow its hold: when to ask for more, and when to let it end.

    Coverage.due(seen)      Extend | None      pure; ask the ledger beside the stream, never before a chunk
    Coverage.answered(...)                     what the ledger said
    Coverage.spent(seen)    True: the next chunk could go beyond what is held, and policy says `cut`

Sizes are output tokens by evidence (`settlement.written`), which errs towards more: what is covered
is not outrun unless the provider generates what it does not send (hidden reasoning), or all at once.
"""

from __future__ import annotations

from dataclasses import replace

from weighbridge.core.admission import Ticket
from weighbridge.core.ledger import Ended, Extend, Granted, Short

STEP = 16
"""Fewest tokens between two questions."""


class Coverage:
    """How far one stream is held for."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        """With `covered` as far as it has been extended."""
        self._asking = 0
        self._short = False
        self._cut = False
        self._over = not ticket.holds
        self._seen = 0
        self._largest = 0
        self._next = 0
        self._wait(3, 4)

    def due(self, seen: int) -> Extend | None:
        """What to ask now that `seen` tokens went by; None: nothing yet."""
        self._largest = max(self._largest, seen - self._seen)
        self._seen = seen
        ticket = self.ticket
        if self._asking or self._over or ticket.covered >= ticket.units:
            return None
        if seen < self._next and (self._short or seen + self._largest <= ticket.covered):
            return None
        self._asking = min(ticket.units, 2 * max(ticket.covered, seen, STEP))
        return Extend(ticket.id, ticket.holds, self._asking)

    def answered(self, answer: Granted | Short | Ended | None) -> None:
        """The ledger's answer; None where there was none."""
        asked, self._asking = self._asking, 0
        claims = self.ticket.claims
        match answer:
            case Granted(covered=covered):
                self.ticket = replace(self.ticket, covered=max(covered, self.ticket.covered))
                self._short = covered < asked
                claims = tuple(claim for claim in claims if claim.hold.history)
            case Short(lacking=lacking):
                self._short = True
                claims = tuple(claims[i] for i in lacking)
            case Ended():
                self._over = True
        self._cut = self._short and any(claim.policy.on_exhausted == "cut" for claim in claims)
        # Others may give back until this one gets there: it asks again.
        self._wait(*((1, 2) if self._short else (3, 4)))

    def spent(self, seen: int) -> bool:
        """Whether to break the stream off: not all was granted that was asked for, and another chunk
        like the largest so far would not be held for."""
        return self._cut and seen + self._largest > self.ticket.covered

    def _wait(self, part: int, of: int) -> None:
        """Ask when this part of what is left has gone by."""
        left = max(0, self.ticket.covered - self._seen)
        # With nothing left and the stream going on, ask less and less often.
        self._next = self._seen + max(STEP, left * part // of if left else self._seen // 4)


def may_end(ticket: Ticket) -> bool:
    """Whether the stream of a call just admitted may have to end before its time."""
    return ticket.covered < ticket.units and any(claim.policy.on_exhausted == "cut" for claim in ticket.claims)
