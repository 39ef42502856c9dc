"""LiteLLM's durations ("30d", "1mo") as windows.

A budget of a key, team or user begins anew at set times: 24h at midnight, 7d on Monday, 30d and 1mo on
the first.  A rate limit and a budget of a model, provider or deployment begins with the first request
after the last one ended; a rolling window of that length never admits more than such a one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

WORDS: Final = {"hourly": "1h", "daily": "24h", "weekly": "7d", "monthly": "30d"}
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 31 * 86_400}
WRITTEN: Final = re.compile(r"(\d{1,9})(mo|[smhdw])")
CALENDAR: Final = {60: "minute", 3600: "hour", 86_400: "day", 604_800: "week", 30 * 86_400: "month"}
"""Seconds -> the window that begins when LiteLLM's does."""
LEAST: Final = 60
MOST: Final = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """A window, as a policy has it."""

    window: str
    timezone: str = "UTC"
    note: str = ""
    """What is not quite the same."""

    def document(self) -> dict[str, Any]:
        """Its fields."""
        zone = {} if self.timezone == "UTC" else {"timezone": self.timezone}
        return {"window": self.window, **zone}


LIFETIME: Final = Span("lifetime")
RATE: Final = Span("rolling 60s")
"""Of a limit a minute."""


def reset(duration: Any, timezone: str = "UTC") -> Span:
    """The window of a budget that begins anew at set times; None is one that never does."""
    if duration is None or duration == "":
        return LIFETIME
    seconds = _seconds(duration)
    if seconds is None:
        note = f"{duration!r} is no duration LiteLLM knows; it begins such a budget anew at midnight, and so does this"
        return Span("day", timezone, note)
    if str(duration).strip() == "1mo":
        return Span("month", timezone)
    if seconds in CALENDAR:
        return Span(CALENDAR[seconds], timezone)
    note = (
        f"{duration} begins anew at set times in LiteLLM, and rolls here: never looser, and room comes back bit by bit"
    )
    return Span(*_rolling(seconds, note))


def tumbling(duration: Any) -> Span:
    """The window of a budget that begins with its first request."""
    if duration is None or duration == "":
        return LIFETIME
    seconds = _seconds(duration)
    if seconds is None:
        return Span("day", note=f"{duration!r} is no duration; LiteLLM ignores such a budget, here it holds by day")
    return Span(*_rolling(seconds, ""))


def _rolling(seconds: int, note: str) -> tuple[str, str, str]:
    if seconds < LEAST:
        return "rolling 60s", "UTC", f"{seconds} seconds is shorter than a window can be: the limit holds for a minute"
    if seconds > MOST:
        return "rolling 366d", "UTC", "longer than a window can be: it rolls over 366 days"
    unit, size = next((u, n) for u, n in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)) if seconds % n == 0)
    return f"rolling {seconds // size}{unit}", "UTC", note


def _seconds(duration: Any) -> int | None:
    text = WORDS.get(str(duration).strip().lower(), str(duration).strip())
    found = WRITTEN.fullmatch(text)
    return int(found[1]) * SECONDS[found[2]] or None if found else None
