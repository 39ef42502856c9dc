"""What a user's own bills say about the estimates: a few numbers for each provider, model and sort of content.

Fitted by `core.fitting`, kept as a dated JSON document, laid over an estimate at its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.model import Call, Estimate, Json, Media, Part, Parts, Text, Thinking, ToolResult, Unseen

FORMAT: Final = "weighbridge calibration 1"
FACTORS: Final = (0.1, 10.0)
MOST_TOKENS: Final = 1_000_000
WORD: Final = "calibrated "
"""Before the method of an estimate that was corrected by a document."""


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line from the built-in estimate to the bill, and how far above it bills go."""

    add: int = 0
    """Tokens the host adds (or leaves out), whatever the length."""
    factor: float = 1.0
    """Tokens billed per token estimated."""
    slack: float = 1.0
    """What 99 % of bills stay under, in lengths of the built-in distance between estimate and bound."""
    rows: int = 0
    """Bills it was fitted on."""

    @property
    def word(self) -> str:
        """Before the method of an estimate that was corrected."""
        return WORD

    def tokens(self, estimated: int) -> int:
        """The corrected count."""
        return max(0, round(self.factor * estimated + self.add))

    def before(self, limit: int | None) -> int | None:
        """The built-in count above which the corrected one is over `limit`."""
        return None if limit is None else max(0, math.ceil((limit + 1 - self.add) / self.factor))

    def over(self, estimate: Estimate, unseen: int = 0) -> Estimate:
        """An estimate, corrected.  `unseen` is the share of its bound for what could not be seen, which
        bills of calls that were seen whole say nothing about."""
        tokens = self.tokens(estimate.tokens)
        width = max(0, estimate.upper - estimate.tokens - unseen)
        parts = _moved(estimate.parts, tokens - estimate.tokens)
        upper = tokens + self.above(width) + unseen
        return Estimate(tokens, upper, self.word + estimate.method, parts, estimate.whole, unseen)

    def above(self, width: int) -> int:
        """How far above the corrected count the bound lies, where it was `width` above the built-in one."""
        return math.ceil(self.slack * width)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a line holds for."""

    provider: str
    """The provider behind the host, or a host that is none of the known ones."""
    model: str
    """As requested."""
    tools: bool = False
    """Tools are offered, and with them comes what the host says about tools."""
    media: bool = False
    """Something in it is no text: what is off there says nothing about the host's words around texts."""


def key_of(provider: str, call: Call) -> Key:
    """The key of a call."""
    return Key(provider, call.model, bool(call.tools), holds_media(call))


def holds_media(call: Call) -> bool:
    """Whether something in a call is no text."""
    for message in call.messages:
        for part in message.parts:
            if type(part) is not Text and _no_text((part,)):  # the plain case costs next to nothing
                return True
    return False


def _no_text(parts: tuple[Part, ...]) -> bool:
    return any(
        isinstance(part, Media | Unseen)
        or (isinstance(part, ToolResult) and _no_text(part.parts))
        or (isinstance(part, Thinking) and bool(part.signature))
        for part in parts
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The lines of one document."""

    made: str = ""
    """The day it was fitted."""
    lines: Mapping[Key, Line] = field(default_factory=dict)

    def line(self, host: str, call: Call) -> Line | None:
        """The line of a call; None where nothing was fitted for its like."""
        return self.lines.get(key_of(host, call)) if self.lines else None


UNCALIBRATED: Final = Calibration()


def _moved(parts: Parts, more: int) -> Parts:
    """The parts with the difference in the frame; where that would be negative, the largest others give way."""
    if not more:
        return parts
    if parts.frame + more >= 0:
        return Parts(parts.messages, parts.system, parts.tools, parts.media, parts.schema, parts.frame + more)
    sizes = {name: getattr(parts, name) for name in Parts.__slots__}
    sizes["frame"] += more
    lacking = max(0, -sizes["frame"])
    sizes["frame"] = max(0, sizes["frame"])
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        taken = min(lacking, sizes[name])
        sizes[name] -= taken
        lacking -= taken
    return Parts(**sizes)


def document(calibration: Calibration, about: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON document of a calibration; `about` tells how it was made."""
    lines = [
        {**asdict(key), "rows": line.rows, "add": line.add, "factor": line.factor, "slack": line.slack}
        for key, line in sorted(calibration.lines.items())
    ]
    return {"format": FORMAT, "made": calibration.made, **about, "lines": lines}


def read(value: Json) -> Calibration:
    """A calibration from its document.  Raises ConfigError with what is wrong in it."""
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise ConfigError(f"it is not a {FORMAT!r} document; make one with `weighbridge calibrate TRAFFIC -o FILE`")
    items = value.get("lines")
    if not isinstance(items, list):
        raise ConfigError("'lines' must be an array")
    lines = dict(_line(item, f"lines[{i}]") for i, item in enumerate(items))
    return Calibration(str(value.get("made", "")), lines)


def _line(item: Json, where: str) -> tuple[Key, Line]:
    if not isinstance(item, Mapping):
        raise ConfigError(f"{where} must be an object")
    key = Key(*(_of_type(item, name, kind, where) for name, kind in KEY))
    line = Line(
        add=round(_number(item, "add", where, -MOST_TOKENS, MOST_TOKENS)),
        factor=_number(item, "factor", where, *FACTORS),
        slack=_number(item, "slack", where, 0, MOST_TOKENS),
        rows=round(_number(item, "rows", where, 0, 10**12)),
    )
    return key, line


KEY: Final[tuple[tuple[str, type], ...]] = (("provider", str), ("model", str), ("tools", bool), ("media", bool))
"""Fields of a key and what they are."""


def _of_type(item: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    value = item.get(name)
    if not isinstance(value, kind):
        raise ConfigError(f"{where}.{name} must be {'a text' if kind is str else 'true or false'}")
    return value


def _number(item: Mapping[str, Any], name: str, where: str, least: float, most: float) -> float:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{where}.{name} must be a number from {least} to {most}")
    return float(value)
