"""How long a ledger remembers, and how much it tidies in passing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from weighbridge.core.ledger import Counter

HOUR = 3_600_000
DAY = 24 * HOUR
JOURNAL_ENTRIES = 1_000_000
HISTORY_KEPT = 40 * DAY
"""How long a history is remembered after it was last taught."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Terms every store keeps alike, so that each gives the same answers."""

    retention_ms: int = 48 * HOUR
    """How long an ended hold is remembered: so long a repeated settle is known for one."""
    journal_cap: int = JOURNAL_ENTRIES
    """Journal entries kept, 1 or more.  What the oldest charged is added to their counters' bases
    before they go."""
    fold: int = 4
    """Journal entries folded into bases at most by a settlement, where there are too many."""
    sweep: int = 16
    """Expired holds ended, and purges made, in passing by a verb."""
    sweep_short: int = 10_000
    """Expired holds ended at most before a call is clamped or refused for want of room."""


def purge_at(counter: Counter) -> int:
    """When a counter may be forgotten (milliseconds): as long after its window's end as the window
    was long, but an hour at least and 40 days at most; a rolling window's bucket an hour after no
    window looks back on it.  0: never."""
    if not counter.end:
        return 0
    if counter.span:
        return counter.end + counter.span + HOUR
    return counter.end + min(max(counter.end - counter.start, HOUR), 40 * DAY)


def window(counter: Counter, now: int | None = None) -> tuple[str, ...]:
    """Fields of the counters a limit is held against: itself, or the buckets of a rolling window.

    With `now`, the newest window by then that still looks back on this bucket: a call that began in
    it is held against what the window has become."""
    if not counter.span:
        return (counter.field,)
    length = counter.end - counter.start
    back = -(-counter.span // length)
    on = 0 if now is None else min(max((now - counter.start) // length, 0), back)
    name, last = counter.field.rsplit("|", 3)[0], counter.start + on * length
    starts = range(last, last - (back + 1) * length, -length)
    return tuple(f"{name}|{start}|{start + length}|{counter.span}" for start in starts)


@lru_cache(maxsize=65536)
def placed(counter: Counter) -> tuple[str, int]:
    """A counter's field and purge time: quoting is dear, and the same counters come again."""
    return counter.field, purge_at(counter)
