from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.policy.model import Window
from weighbridge.core.policy.window import BUCKETS, CALENDAR, bounds, bucket, retry_after, span

ZONES = (
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Africa/Tunis",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Monrovia",
)
HOUR = 3_600_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def fresh(window: Window, now: int) -> tuple[int, int]:
    """The bounds, with those found last forgotten."""
    bounds(window, now + 400 * 24 * HOUR)
    return bounds(window, now)


def changes(zone: str, first: int = 1970, last: int = 2030) -> list[int]:
    """Seconds at which the zone's offset changes."""
    where, found = ZoneInfo(zone), []
    before = datetime(first, 1, 2, tzinfo=ZoneInfo("UTC"))
    while before.year < last:
        after = before + timedelta(days=5)
        offset = after.astimezone(where).utcoffset()
        if before.astimezone(where).utcoffset() != offset:
            low, high = int(before.timestamp()), int(after.timestamp())
            while high - low > 1:
                middle = (low + high) // 2
                same = datetime.fromtimestamp(middle, where).utcoffset() == offset
                low, high = (low, middle) if same else (middle, high)
            found.append(high)
        before = after
    return found


def whole(window: Window, now: int) -> None:
    start, end = fresh(window, now)
    assert start <= now < end
    assert fresh(window, start) == (start, end) == fresh(window, end - 1)
    assert fresh(window, end)[0] == end
    assert fresh(window, start - 1)[1] == start


@given(
    text=st.sampled_from((*CALENDAR, "rolling 5h", "rolling 7s")),
    zone=st.sampled_from(ZONES),
    now=st.integers(10**11, 4 * 10**12),
)
def test_windows_follow_each_other_without_gap_or_overlap(text: str, zone: str, now: int) -> None:
    whole(Window(text, zone), now)


@pytest.mark.parametrize("zone", ZONES)
def test_no_gap_around_any_change_of_the_clocks(zone: str) -> None:
    for change in changes(zone):
        for shift in (-3601, -1800, -60, -1, 0, 59, 60, 3599, 3600):
            for text in CALENDAR:
                whole(Window(text, zone), (change + shift) * 1000 + 7)


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        pytest.param(
            Window("month", "Europe/Zurich"), "2026-03-31T21:59:59+00:00",
            "2026-03-01T00:00+01:00", "2026-04-01T00:00+02:00", id="month in its zone",
        ),
        pytest.param(
            Window("week"), "2026-11-22T23:59:59+00:00", "2026-11-16T00:00+00:00", "2026-11-23T00:00+00:00",
            id="week from Monday",
        ),
        pytest.param(
            Window("day", "Europe/Zurich"), "2026-03-29T12:00+02:00",
            "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00", id="day of 23 hours",
        ),
        pytest.param(
            Window("day", "Europe/Zurich"), "2026-10-25T12:00+01:00",
            "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00", id="day of 25 hours",
        ),
        pytest.param(
            Window("day", "America/Sao_Paulo"), "2018-11-04T12:00-02:00",
            "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00", id="midnight skipped",
        ),
        pytest.param(
            Window("day", "America/St_Johns"), "2010-11-06T23:30-03:30",
            "2010-11-07T00:00-02:30", "2010-11-08T00:00-03:30", id="midnight twice: the day is not reopened",
        ),
        pytest.param(
            Window("day", "Pacific/Apia"), "2011-12-29T23:00-10:00",
            "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00", id="a day that never was",
        ),
        pytest.param(
            Window("hour", "Europe/Zurich"), "2026-10-25T02:30+01:00",
            "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00", id="the repeated hour is its own",
        ),
        pytest.param(
            Window("hour", "Asia/Kathmandu"), "2026-01-01T12:10+05:45",
            "2026-01-01T12:00+05:45", "2026-01-01T13:00+05:45", id="hour of a quarter-hour zone",
        ),
        pytest.param(
            Window("hour", "Australia/Lord_Howe"), "2026-04-05T01:45+10:30",
            "2026-04-05T01:30+10:30", "2026-04-05T02:00+10:30", id="hour cut by half an hour's change",
        ),
        pytest.param(
            Window("minute", "Asia/Kolkata"), "2026-01-01T12:10:30+05:30",
            "2026-01-01T12:10+05:30", "2026-01-01T12:11+05:30", id="minute",
        ),
    ],
)  # fmt: skip
def test_bounds(window: Window, now: str, start: str, end: str) -> None:
    assert fresh(window, ms(now)) == (ms(start), ms(end))


@given(zone=st.sampled_from(ZONES), now=st.integers(10**11, 4 * 10**12))
def test_no_hour_is_longer_than_an_hour(zone: str, now: int) -> None:
    start, end = bounds(Window("hour", zone), now)
    assert end - start <= HOUR


@pytest.mark.parametrize("text", ["", "lifetime"])
@pytest.mark.parametrize("now", [0, 1, 1_763_830_000_000])
def test_what_never_ends(text: str, now: int) -> None:
    assert bounds(Window(text), now) == (0, 0)


def test_a_clock_that_goes_back_gets_the_window_of_its_time() -> None:
    window = Window("day")
    later = bounds(window, 1_763_830_000_000)
    assert bounds(window, later[0] - 1)[1] == later[0]
    assert bounds(window, later[0]) == later


@given(number=st.integers(1, 366), unit=st.sampled_from("smhd"), now=st.integers(0, 4 * 10**12))
def test_the_buckets_that_touch_a_rolling_span_cover_it_and_little_more(number: int, unit: str, now: int) -> None:
    window = Window(f"rolling {number}{unit}")
    start, end = bounds(window, now)
    assert end - start == bucket(window)
    # The bucket being filled and the BUCKETS before it.
    covered = now - (start - BUCKETS * bucket(window))
    assert span(window) <= covered < span(window) + bucket(window) + BUCKETS


def test_only_rolling_windows_have_a_span() -> None:
    assert span(Window("rolling 5h")) == 5 * HOUR
    with pytest.raises(ValueError, match="not a rolling window"):
        span(Window("month"))


@pytest.mark.parametrize(
    ("end", "now", "seconds"), [(2000, 1000, 1), (2001, 1000, 2), (1000, 1000, 0), (1000, 5000, 0), (0, 1000, None)]
)
def test_retry_after(end: int, now: int, seconds: int | None) -> None:
    assert retry_after(end, now) == seconds
