"""Times as people write them: "24h", "7d", "2026-11-01"."""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime, tzinfo
from typing import Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.policy import window

MILLISECONDS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)


def before(text: str, now: int, option: str = "--since", where: tzinfo = UTC) -> int:
    """The moment that long ago, or the date given (milliseconds).  Raises ConfigError."""
    length = _span(text)
    return _date(text, f"{option} 24h, 7d or 2026-11-01", where) if length is None else max(0, now - length)


def length(text: str, option: str) -> int:
    """A length of time in milliseconds; 0s is one.  Raises ConfigError."""
    found = 0 if text.strip() in ("0", "0s") else _span(text)
    if found is None:
        raise ConfigError(f"{text!r} is no length of time; write e.g. {option} 1s, 5m or 2h")
    return found


def between(
    since: str | None, until: str | None, month: str | None, where: tzinfo, now: int, usual: str = "24h"
) -> tuple[int, int | None]:
    """First millisecond of a time and the first one after it; None: up to now.  Raises ConfigError."""
    if month is None:
        start = before(since or usual, now, "--since", where)
        end = None if until is None else before(until, now, "--until", where)
        if end is not None and end <= start:
            raise ConfigError(f"--until {until} is not after --since {since or usual}: nothing lies between them")
        return start, end
    if since or until:
        raise ConfigError("--month is a time of its own: leave out --since and --until")
    found = re.fullmatch(r"(\d{4})-(0[1-9]|1[0-2])", month.strip(), re.ASCII)
    if found is None or not MINYEAR < int(found[1]) < MAXYEAR:
        raise ConfigError(f"{month!r} is not a month; write e.g. --month 2026-10")
    months = int(found[1]) * 12 + int(found[2]) - 1
    first, past = (datetime(n // 12, n % 12 + 1, 1, tzinfo=where) for n in (months, months + 1))
    return int(first.timestamp()) * 1000, int(past.timestamp()) * 1000


def zone(name: str) -> tzinfo:
    """A time zone by its name.  Raises ConfigError."""
    try:
        return window.zone(name)
    except ValueError as error:
        raise ConfigError(f"{error}; write e.g. --timezone Europe/Zurich") from None


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


def _date(text: str, example: str, where: tzinfo = UTC) -> int:
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=where)
        return int(moment.timestamp()) * 1000
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"{text!r} is not a time; write e.g. {example}") from None
