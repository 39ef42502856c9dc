"""What is learnt from a settled call, and the line drawn through the last such calls.

Topic    what calls must have in common to teach each other
Seen     one call: what it was counted as without any lesson, and billed
Taught   the line its like are corrected with (drawn by `drawing`), and how much it goes by
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

from weighbridge.core.counting.calibration import FACTORS, Key, Line, holds_media
from weighbridge.core.model import Call, Estimate

WORD: Final = "learnt "
BEND: Final = 0.7
"""Errors grow slower than the distance of the built-in bound: they are measured in this power of it."""
HIDDEN: Final = 4096
"""The most tokens a host is believed to add to every prompt."""
FAMILIES: Final = ("openai", "anthropic", "gemini")
OTHER: Final = "other"
"""Models of all other families are in one: few are seen of each."""
CHOICES: Final = ("auto", "none", "required")
LONGEST_NAME: Final = 512
REMEMBERED: Final = 1024
"""Topics whose name is not written, and read, anew for each call."""


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
        return _name(self)

    @property
    def key(self) -> Key:
        """What a calibration calls it."""
        return Key(self.host, self.model, self.tools, self.media)


@lru_cache(maxsize=REMEMBERED)
def _name(topic: Topic) -> str:
    return json.dumps(topic, separators=(",", ":"))


@lru_cache(maxsize=REMEMBERED)
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


def clamped(factor: float) -> float:
    """A factor within what a token of one vocabulary can be in another."""
    return min(max(factor, FACTORS[0]), FACTORS[1])


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
        factor = clamped(self.factor * below.factor)
        return Line(round(self.factor * below.add + self.add), factor, slack * below.slack, self.rows)

    def above(self, width: int) -> int:
        """See `Line.above`."""
        if self.reach is None:
            return math.ceil(self.slack * width)
        return math.ceil(self.reach * stretched(width))


UNTAUGHT: Final = Taught()


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
