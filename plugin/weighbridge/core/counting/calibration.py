"""What a user's own bills say about the estimates: a few numbers for each (provider, model, tools or none).

Fitted by `core.fitting`, kept as a dated JSON document, laid over an estimate at its end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.model import Call, Estimate, Json, Parts

FORMAT: Final = "weighbridge calibration 1"
FACTORS: Final = (0.1, 10.0)
MOST_TOKENS: Final = 1_000_000
WORD: Final = "calibrated "
"""Before the method of an estimate that was corrected."""


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
        return replace(
            estimate,
            tokens=tokens,
            upper=tokens + math.ceil(self.slack * width) + unseen,
            method=WORD + estimate.method,
            parts=_moved(estimate.parts, tokens - estimate.tokens),
        )


Key = tuple[str, str, bool]
"""(provider or host, model as requested, whether tools are offered)."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The lines of one document."""

    made: str = ""
    """The day it was fitted."""
    lines: Mapping[Key, Line] = field(default_factory=dict)

    def line(self, host: str, call: Call) -> Line | None:
        """The line of a call; None where nothing was fitted for its like."""
        return self.lines.get((host, call.model, bool(call.tools)))


UNCALIBRATED: Final = Calibration()


def _moved(parts: Parts, more: int) -> Parts:
    """The parts with the difference in the frame; where that would be negative, the largest others give way."""
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
        {"provider": provider, "model": model, "tools": tools, "rows": line.rows,
         "add": line.add, "factor": line.factor, "slack": line.slack}
        for (provider, model, tools), line in sorted(calibration.lines.items())
    ]  # fmt: skip
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
    names = [item.get(name) for name in ("provider", "model")]
    if not all(isinstance(name, str) for name in names) or not isinstance(item.get("tools"), bool):
        raise ConfigError(f"{where} must name a 'provider' and a 'model', and say whether there are 'tools'")
    line = Line(
        add=round(_number(item, "add", where, -MOST_TOKENS, MOST_TOKENS)),
        factor=_number(item, "factor", where, *FACTORS),
        slack=_number(item, "slack", where, 0, MOST_TOKENS),
        rows=round(_number(item, "rows", where, 0, 10**12)),
    )
    return (str(names[0]), str(names[1]), bool(item["tools"])), line


def _number(item: Mapping[str, Any], name: str, where: str, least: float, most: float) -> float:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{where}.{name} must be a number from {least} to {most}")
    return float(value)
