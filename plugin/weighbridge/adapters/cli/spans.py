"""Times as people write them: "24h", "7d", "2026-11-01"."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from weighbridge.core.errors import ConfigError

MILLISECONDS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)


def before(text: str, now: int, option: str = "--since") -> int:
    """The moment that long ago, or the date given (milliseconds).  Raises ConfigError."""
    length = _span(text)
    return _date(text, f"{option} 24h, 7d or 2026-11-01") if length is None else max(0, now - length)


def length(text: str, option: str) -> int:
    """A length of time in milliseconds; 0s is one.  Raises ConfigError."""
    found = 0 if text.strip() in ("0", "0s") else _span(text)
    if found is None:
        raise ConfigError(f"{text!r} is no length of time; write e.g. {option} 1s, 5m or 2h")
    return found


def after(text: str, now: int) -> int:
    """The moment that far ahead, or the date given (milliseconds).  Raises ConfigError."""
    length = _span(text)
    found = _date(text, "--expires 90d or 2027-01-31") if length is None else now + length
    if found <= now:
        raise ConfigError(f"{text!r} is over already; give a time to come, e.g. --expires 90d")
    return found


def _span(text: str) -> int | None:
    found = SPAN.fullmatch(text.strip())
    return int(found[1]) * MILLISECONDS[found[2]] if found else None


def _date(text: str, example: str) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1000
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"{text!r} is not a time; write e.g. {example}") from None
