"""The line through a topic's last bills: the correction that would have been best of late.

Bills are not to be trusted: one alone never moves a line that has settled; two must agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from weighbridge.core.counting.calibration import Line
from weighbridge.core.counting.lesson import HIDDEN, Seen, Taught, clamped

ALIKE: Final = (2, 0.01)
"""Two differences agree within so many tokens, or this share of the bill."""
LEAST: Final = 0.002
ALONE: Final = 0.05
"""By what share of the bill a line must be better than none: `LEAST`, and more the fewer bills say so."""
FADING: Final = 0.9
"""What an observation weighs for the choice of a line, over the next newer one."""
WORST: Final = 0.5
"""Errors above this share of the bill are alike: an absurd one weighs no more."""
STEADY: Final = 0.03
"""Four of five of a steady topic's bills lie within this share of the line, or within `ALIKE` tokens."""
LONG: Final = 2.0
"""Lengths must differ by this factor to say what a token weighs."""
ENOUGH: Final = 4
"""Observations a slope is read from."""


def line(ring: Sequence[Seen], start: float = 1.0) -> Taught:
    """The line for the next call of a topic; `start` is the factor that its model's other calls have."""
    if not ring:
        return Taught(factor=start)
    drawn = _best(ring, start)
    since = _changed(ring, drawn)
    return drawn if since is None else _best(ring[since:], start)


def _changed(ring: Sequence[Seen], drawn: Line) -> int | None:
    """Where the newest bills, two at least, began to agree on something else than the steady ones before
    them: hosts change their hidden prompts on a date.  None: they did not."""
    offs = [s.billed - drawn.factor * s.tokens for s in ring]
    last = ring[-1]
    if len(ring) < 2 + ENOUGH or abs(offs[-1] - drawn.add) <= _slack(last):
        return None
    since = len(ring)
    while since and _agree(offs[since - 1], offs[-1], last.billed):
        since -= 1
    steady = len(ring) - since > 1 and since >= ENOUGH and _level(ring[:since], drawn) == 2
    return since if steady else None


def _best(ring: Sequence[Seen], start: float) -> Taught:
    """The line of least recent error."""
    weights = [FADING ** (len(ring) - 1 - i) for i in range(len(ring))]

    def loss(candidate: tuple[float, float, float]) -> float:
        factor, add, price = candidate
        errors = (min(WORST, abs(factor * s.tokens + add - s.billed) / s.billed) for s in ring)
        return price + sum(w * error for w, error in zip(weights, errors, strict=True)) / sum(weights)

    factor, add, _ = min(_candidates(ring, start), key=loss)
    drawn = Taught(round(add), factor, rows=len(ring))
    return replace(drawn, level=_level(ring, drawn))


def _candidates(ring: Sequence[Seen], start: float) -> Iterator[tuple[float, float, float]]:
    """(factor, add, what it must be better by than nothing)."""
    price = LEAST + ALONE / len(ring)
    yield 1.0, 0.0, 0.0
    if start != 1:
        yield start, 0.0, LEAST / 2
    for factor in {1.0, start}:
        offs = [s.billed - factor * s.tokens for s in ring]
        yield factor, _held(_middle(offs) if len(ring) > 1 else _alone(offs[0], ring[0])), price
        if len(ring) > 1 and _agree(offs[-2], offs[-1], max(ring[-1].billed, ring[-2].billed)):
            yield factor, _held(offs[-1]), price
    if len(ring) > 1:
        yield clamped(1 + _middle([s.billed / max(1, s.tokens) - 1 for s in ring])), 0.0, price
    slope = _slope(ring)
    if slope is not None:
        yield slope, _held(median(s.billed - slope * s.tokens for s in ring)), price


def _middle(offs: Sequence[float]) -> float:
    """The median; of two, as much as both say."""
    if len(offs) > 2:
        return median(offs)
    low, high = sorted(offs)
    return low if low > 0 else high if high < 0 else 0.0


def _alone(off: float, of: Seen) -> float:
    """What one bill says alone: nothing, where the built-in bound would not have held."""
    return off if abs(off) <= of.width else 0.0


def _slope(ring: Sequence[Seen]) -> float | None:
    """Theil and Sen's: the median of what pairs say, each observation of the shorter half with its
    like in the longer; None where all are about as long."""
    ordered = sorted(ring, key=lambda s: s.tokens)
    if len(ring) < ENOUGH or ordered[-1].tokens < LONG * max(1, ordered[0].tokens):
        return None
    half = (len(ordered) + 1) // 2
    pairs = [(a, b) for a, b in zip(ordered, ordered[half:], strict=False) if a.tokens < b.tokens]
    if len(pairs) < 2:
        return None
    return clamped(median((b.billed - a.billed) / (b.tokens - a.tokens) for a, b in pairs))


def _held(add: float) -> float:
    return float(min(max(add, -HIDDEN), HIDDEN))


def _agree(one: float, other: float, billed: int) -> bool:
    tokens, share = ALIKE
    return abs(one - other) <= max(tokens, share * billed)


def _slack(of: Seen) -> float:
    """How far off a bill of a steady topic may be."""
    return max(ALIKE[0], STEADY * of.billed)


def _level(ring: Sequence[Seen], drawn: Line) -> int:
    if len(ring) < 3:
        return 1
    off = sorted(abs(drawn.tokens(s.tokens) - s.billed) - _slack(s) for s in ring)
    return 2 if off[math.ceil(0.8 * len(off)) - 1] <= 0 else 3
