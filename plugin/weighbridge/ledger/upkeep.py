"""How long a ledger remembers, and how much it tidies in passing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from weighbridge.core.ledger import Counter

HOUR = 3_600_000
DAY = 24 * HOUR
JOURNAL_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Terms every store keeps alike, so that each gives the same answers."""

    retention_ms: int = 48 * HOUR
    """How long an ended hold is remembered: so long a repeated settle is known for one."""
    journal_cap: int = JOURNAL_ENTRIES
    """Journal entries kept, about; the oldest go first."""
    sweep: int = 16
    """Expired holds ended, and purges made, in passing by a verb."""
    sweep_short: int = 10_000
    """Expired holds ended at most before a call is clamped or refused for want of room."""


def purge_at(counter: Counter) -> int:
    """When a counter may be forgotten (milliseconds): as long after its window's end as the window
    was long, but an hour at least and 40 days at most.  0: never."""
    if not counter.end:
        return 0
    return counter.end + min(max(counter.end - counter.start, HOUR), 40 * DAY)


@lru_cache(maxsize=65536)
def placed(counter: Counter) -> tuple[str, int]:
    """A counter's field and purge time: quoting is dear, and the same counters come again."""
    return counter.field, purge_at(counter)
