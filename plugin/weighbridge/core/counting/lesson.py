"""What is learnt from a settled call, and the line drawn through the last such calls.

    Topic        what calls must have in common to teach each other
    Seen         one call: what it was counted as without any lesson, and billed
    line(...)    the correction that would have been best of late

Bills are not to be trusted: one alone never moves a line that has settled (two must agree), and
what no host can have added is not learnt from at all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Final, NamedTuple
from zlib import crc32

from weighbridge.core.counting.calibration import FACTORS, Key, Line, holds_media
from weighbridge.core.model import Call, Estimate

WORD: Final = "learnt "
BEND: Final = 0.7
"""Errors grow slower than the distance of the built-in bound: they are measured in this power of it."""
HIDDEN: Final = 4096
"""The most tokens a host is believed to add to every prompt."""
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
FAMILIES: Final = ("openai", "anthropic", "gemini")
OTHER: Final = "other"
"""Models of all other families are in one: few are seen of each."""
CHOICES: Final = ("auto", "none", "required")
LONGEST_NAME: Final = 512


class Topic(NamedTuple):
    """What calls have in common that teach each other."""

    family: str
    host: str
    model: str
    tools: bool = False
    choice: str = ""
    """With tools: "auto", "none", "required" or "named"; hosts put other words before each."""
    media: bool = False
    base: str = ""
    """The calibration below it (`base_of`): another one makes other estimates."""

    @property
    def name(self) -> str:
        """As the store knows it."""
        return json.dumps(self, separators=(",", ":"))

    @property
    def key(self) -> Key:
        """What a calibration calls it."""
        return Key(self.host, self.model, self.tools, self.media)


def named(name: str) -> Topic:
    """The topic of a name.  Raises ValueError."""
    match json.loads(name):
        case [str(family), str(host), str(model), bool(tools), str(choice), bool(media), str(base)]:
            return Topic(family, host, model, tools, choice, media, base)
    raise ValueError(f"{name!r} is not a topic")


def base_of(line: Line | None) -> str:
    """What tells one calibration's line from another's."""
    return "" if line is None else f"{crc32(f'{line.add} {line.factor}'.encode()):x}"


def topic_of(family: str, host: str, call: Call, below: Line | None = None) -> Topic:
    """The topic of a call; `below` is the line its estimate was made with."""
    tools, choice = bool(call.tools), call.tool_choice
    family = family if family in FAMILIES else OTHER
    kind = "" if not tools else choice if choice in CHOICES else "named"
    return Topic(family, host, call.model, tools, kind, holds_media(call), base_of(below))


class Seen(NamedTuple):
    """One settled call."""

    id: str
    tokens: int
    """Counted, before any lesson."""
    width: int
    """How far above it the bound was, without what could not be seen."""
    billed: int
    predicted: int
    """What the lesson of the moment made of it."""
    level: int
    """How much that lesson knew (`Taught.level`)."""

    @property
    def word(self) -> str:
        """As the store keeps it."""
        return ":".join(map(str, self))

    @property
    def score(self) -> float:
        """How far the bill went above the prediction, in the measure of bounds."""
        return (self.billed - self.predicted) / stretched(self.width)

    @property
    def expected(self) -> bool:
        """Whether the built-in distance would have been enough.  A bill here and there that is not expected
        says something about its sender."""
        return self.billed - self.predicted <= max(1, self.width)


def seen(words: Iterable[str]) -> Iterator[Seen]:
    """The observations of a record; what is none is passed over."""
    for word in words:
        id, *numbers = word.split(":")
        if len(numbers) == 5 and all(number.isascii() and number.isdigit() for number in numbers):
            yield Seen(id, *map(int, numbers))


def stretched(width: int) -> float:
    """A built-in bound's distance in the measure of errors."""
    return math.pow(max(1, width), BEND)


def believable(tokens: int, billed: int) -> bool:
    """Whether any host can have billed that: a prompt of its own, and ten times what was counted or a tenth."""
    least, most = FACTORS
    return 0 < billed <= most * tokens + HIDDEN and tokens <= most * billed + HIDDEN * least


@dataclass(frozen=True, slots=True)
class Basis:
    """What a call was counted as before its lesson, until its bill comes."""

    topic: Topic
    tokens: int
    width: int
    predicted: int
    level: int


@dataclass(frozen=True, slots=True)
class Taught(Line):
    """A line drawn through observations."""

    level: int = 0
    """0: none of its topic; 1: few; 2: enough, and they agree; 3: enough, and they do not."""
    reach: float | None = None
    """What 99 % of the bills at this level stay under, in the measure of `Seen.score`; None: `slack` holds."""

    @property
    def word(self) -> str:
        """See `Line.word`."""
        return WORD

    def onto(self, below: Line, width: int) -> Line:
        """One line for both, this over another; `width` is the usual one here."""
        slack = self.slack if self.reach is None else self.reach * stretched(width) / max(1, width)
        factor = _clamped(self.factor * below.factor)
        return Line(round(self.factor * below.add + self.add), factor, slack * below.slack, self.rows)

    def above(self, width: int) -> int:
        """See `Line.above`."""
        if self.reach is None:
            return math.ceil(self.slack * width)
        return math.ceil(self.reach * stretched(width))


UNTAUGHT: Final = Taught()


def line(ring: Sequence[Seen], start: float = 1.0) -> Taught:
    """The line for the next call of a topic; `start` is the factor that its model's other calls have."""
    if not ring:
        return Taught(factor=start)
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
        yield _clamped(1 + _middle([s.billed / max(1, s.tokens) - 1 for s in ring])), 0.0, price
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
    return _clamped(median((b.billed - a.billed) / (b.tokens - a.tokens) for a, b in pairs))


def _clamped(factor: float) -> float:
    return min(max(factor, FACTORS[0]), FACTORS[1])


def _held(add: float) -> float:
    return float(min(max(add, -HIDDEN), HIDDEN))


def _agree(one: float, other: float, billed: int) -> bool:
    tokens, share = ALIKE
    return abs(one - other) <= max(tokens, share * billed)


def _level(ring: Sequence[Seen], drawn: Line) -> int:
    if len(ring) < 3:
        return 1
    off = sorted(abs(drawn.tokens(s.tokens) - s.billed) - max(ALIKE[0], STEADY * s.billed) for s in ring)
    return 2 if off[math.ceil(0.8 * len(off)) - 1] <= 0 else 3


def apply(drawn: Taught, topic: Topic, call: Call, counted: Estimate) -> tuple[Estimate, Basis | None]:
    """An estimate with its lesson, and what its bill will be held against; None where it can teach nothing."""
    corrected = counted if drawn == UNTAUGHT else drawn.over(counted, counted.unseen)
    if not teachable(call, counted):
        return corrected, None
    return corrected, Basis(topic, counted.tokens, counted.upper - counted.tokens, corrected.tokens, drawn.level)


def teachable(call: Call, estimate: Estimate) -> bool:
    """Whether a bill can be held against the estimate: all of the prompt was there to be counted."""
    if estimate.unseen or not estimate.whole or call.extra.get("context_edits"):
        return False
    return not any(tool.server for tool in call.tools)
