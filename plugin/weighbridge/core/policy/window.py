"""When a window begins and ends: calendar windows in any time zone, rolling ones in buckets.

All times are milliseconds since the epoch.  A window is half open, `start <= t < end`, and the
next one starts where it ends: there is no gap and no overlap, whatever the clocks on the wall do.

* day, week, month start at the first instant whose wall clock is at or past local midnight.  A day
  is 23, 24 or 25 hours long; a midnight that is skipped starts where the clocks jumped; a midnight
  that comes twice starts the day at the first one, and the day is not reopened.
* hour and minute follow the wall clock too, and a change of offset cuts them: the repeated hour of
  autumn is a window of its own, and no hour is longer than an hour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from weighbridge.core.policy.model import Window

CALENDAR = ("minute", "hour", "day", "week", "month")
BUCKETS = 60
"""A rolling window is kept as this many buckets, and the one being filled."""
SHORTEST_ROLLING = 60_000
"""Below it, buckets would be shorter than what clocks, leases and networks are apart."""

_ENDLESS = ("", "lifetime")
_MILLISECONDS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_ROLLING = re.compile(r"rolling +([1-9][0-9]{0,7}) *([smhd])", re.ASCII)
_SHORT = {"minute": 60_000, "hour": 3_600_000}
_LONGEST_ROLLING = 366 * 86_400_000


def bounds(window: Window, now: int) -> tuple[int, int]:
    """First millisecond of the window `now` lies in, and first one after it; (0, 0) where it never ends.

    For a rolling window these are the bounds of the *bucket* `now` lies in (see `bucket`), which is
    what a ledger counts in; whoever holds a limit against one bucket alone holds too little.
    """
    last = _last(window)
    start, end = last[0]
    if start <= now < end or window.text in _ENDLESS:
        return start, end
    last[0] = found = _find(window, now)
    return found


def span(window: Window) -> int:
    """Length of a rolling window in milliseconds.  Raises ValueError for any other."""
    length = rolling(window.text)
    if length is None:
        raise ValueError(f"{window.text!r} is not a rolling window")
    return length


def bucket(window: Window) -> int:
    """Length of a rolling window's buckets in milliseconds: a sixtieth of its span, rounded up.

    The buckets that touch the last `span` milliseconds hold all of it and at most one bucket more:
    their sum may refuse up to a sixtieth of the span too long, and never admits too much.
    """
    return -(-span(window) // BUCKETS)


@lru_cache(maxsize=1024)
def rolling(text: str) -> int | None:
    """Milliseconds of "rolling 5h" (units s, m, h, d; at most 366 days); None where it is not that."""
    found = _ROLLING.fullmatch(text)
    length = int(found[1]) * _MILLISECONDS[found[2]] if found else 0
    return length if 0 < length <= _LONGEST_ROLLING else None


def retry_after(end: int, now: int) -> int | None:
    """Whole seconds until `end`, rounded up; None where the window never ends."""
    return max(0, -((now - end) // 1000)) if end else None


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """The time zone of that name.  Raises ValueError where the system knows none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not a time zone") from error


@lru_cache(maxsize=1024)
def _last(window: Window) -> list[tuple[int, int]]:
    """The bounds found last, to be looked at first: a window changes far less often than it is asked for."""
    return [(0, 0)]


def _find(window: Window, now: int) -> tuple[int, int]:
    if window.text in _SHORT:
        return _short(_SHORT[window.text], zone(window.timezone), now)
    if window.text in _DATES:
        floor, step = _DATES[window.text]
        return _dated(floor, step, zone(window.timezone), now)
    length = bucket(window)
    start = now - now % length
    return start, start + length


def _wall(now: int, where: tzinfo) -> datetime:
    """What the clock on the wall shows."""
    return datetime.fromtimestamp(now // 1000, where).replace(tzinfo=None, fold=0)


def _offset(now: int, where: tzinfo) -> int:
    """Milliseconds the wall clock is ahead of UTC."""
    return int((datetime.fromtimestamp(now // 1000, where).utcoffset() or timedelta()).total_seconds()) * 1000


def _earliest(low: int, high: int, true: Callable[[int], bool]) -> int:
    """The first millisecond in (low, high] from which on `true` holds."""
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if true(middle) else (middle, high)
    return high


def _short(length: int, where: tzinfo, now: int) -> tuple[int, int]:
    """The hour or minute by the offset of `now`, cut where the offset changes."""
    offset = _offset(now, where)
    start = now - (now + offset) % length
    end = start + length
    if _offset(start, where) != offset:
        start = _earliest(start, now, lambda t: _offset(t, where) == offset)
    if _offset(end - 1, where) != offset:
        end = _earliest(now, end - 1, lambda t: _offset(t, where) != offset)
    return start, end


def _dated(
    floor: Callable[[datetime], datetime], step: Callable[[datetime], datetime], where: tzinfo, now: int
) -> tuple[int, int]:
    """The day, week or month of `now`."""
    date = floor(_wall(now, where))
    start, date = _reached(date, where), step(date)
    end = _reached(date, where)
    # Clocks put back across midnight show yesterday's date again; the new day has begun all the same.
    while now >= end:
        date = step(date)
        start, end = end, _reached(date, where)
    return start, end


def _reached(wall: datetime, where: tzinfo) -> int:
    """The first millisecond at which the wall clock shows `wall` or later."""
    late = int(wall.replace(tzinfo=where).timestamp()) * 1000
    early = int(wall.replace(tzinfo=where, fold=1).timestamp()) * 1000
    if early >= late:
        return late
    # In a gap the two readings lie on either side of the jump.
    return _earliest(early - 1, late, lambda t: _wall(t, where) >= wall)


def _midnight(wall: datetime) -> datetime:
    return wall.replace(hour=0, minute=0, second=0, microsecond=0)


def _monday(wall: datetime) -> datetime:
    return _midnight(wall) - timedelta(days=wall.weekday())


_DATES: Mapping[str, tuple[Callable[[datetime], datetime], Callable[[datetime], datetime]]] = {
    "day": (_midnight, lambda date: date + timedelta(days=1)),
    "week": (_monday, lambda date: date + timedelta(days=7)),
    "month": (
        lambda wall: _midnight(wall).replace(day=1),
        lambda date: (date + timedelta(days=31)).replace(day=1),
    ),
}
