"""A stream that may outgrow its hold: when it asks for more, and when it is cut."""

from __future__ import annotations

import pytest
from calls import asked, planned, rules, weighed
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.admission import admit
from weighbridge.core.extension import Coverage
from weighbridge.core.ledger import Ended, Granted, Short, State

UNITS, COVERED = 16_384, 1_000
STATE = (State(0, 0),)


def coverage(on_exhausted: str = "cut", covered: int = COVERED) -> Coverage:
    limit = {"limit": {"usd": 25}, "window": "day", "hold": "observed", "on_exhausted": on_exhausted}
    a_plan = planned(weighed(stream=True), rules(limit))
    return Coverage(admit(a_plan, Granted(UNITS, STATE, 0, covered)))


def test_a_history_is_asked_of_streams_alone() -> None:
    observed = rules({"match": {"team": "research"}, "limit": {"usd": 25}, "window": "day", "hold": "observed"})
    streamed, whole = (asked(planned(weighed(stream=stream), observed)) for stream in (True, False))
    assert streamed.holds[0].history == "p0|team%3Dresearch|gpt-4o"
    assert whole.holds[0].history == ""


def test_more_is_asked_for_when_three_quarters_have_gone_by() -> None:
    stream = coverage()
    assert not any(stream.due(seen) for seen in range(0, 750, 10))
    verb = stream.due(750)
    assert verb is not None and verb.units == 2 * COVERED


def test_a_stream_that_comes_all_at_once_asks_for_more_than_came() -> None:
    verb = coverage().due(3_000)
    assert verb is not None and verb.units == 6_000


def test_it_asks_once_at_a_time_and_never_for_more_than_may_come() -> None:
    stream = coverage(covered=10_000)
    verb = stream.due(8_000)
    assert verb is not None and verb.units == UNITS
    assert stream.due(9_000) is None
    stream.answered(Granted(UNITS, STATE, 0, UNITS))
    assert stream.ticket.covered == UNITS
    assert stream.due(16_000) is None and not stream.spent(16_384)


def test_a_chunk_that_would_not_fit_is_asked_for_before_it_comes() -> None:
    stream = coverage(covered=1_000)
    assert stream.due(600) is not None, "another chunk like this would not be covered"


@pytest.mark.parametrize(
    ("answer", "on_exhausted", "cut"),
    [
        (Short(STATE, (0,), 0, 0), "cut", True),
        (Short(STATE, (0,), 0, 0), "finish", False),
        (Granted(UNITS, STATE, 0, COVERED + 5), "cut", True),
        (Granted(UNITS, STATE, 0, 2 * COVERED), "cut", False),
        (Ended(0), "cut", False),
        (None, "cut", False),
    ],
    ids=["refused", "refused, and policy lets it finish", "granted in part", "granted", "lease over", "store silent"],
)
def test_who_is_cut(answer: Granted | Short | Ended | None, on_exhausted: str, cut: bool) -> None:
    stream = coverage(on_exhausted)
    for seen in range(0, 800, 10):
        if stream.due(seen):
            stream.answered(answer)
    assert not stream.spent(800), "what is held for may be written"
    for seen in range(800, COVERED + 10, 10):
        stream.due(seen)
    assert stream.spent(COVERED) == cut


def test_one_that_may_finish_asks_less_and_less_often() -> None:
    stream, questions = coverage("finish"), 0
    for seen in range(0, UNITS, 4):
        if stream.due(seen):
            questions += 1
            stream.answered(Short(STATE, (0,), 0, 0))
    assert 3 < questions < 30


@given(chunks=st.lists(st.integers(1, 64), max_size=300), room=st.integers(0, 8_000))
def test_even_chunks_never_outrun_what_is_held(chunks: list[int], room: int) -> None:
    """A ledger with `room` beyond what is covered, asked at once; chunks as long as the longest so far."""
    stream, seen = coverage(), 0
    longest = max(chunks, default=1)
    for _ in chunks:
        seen += longest
        assert seen <= stream.ticket.covered
        if verb := stream.due(seen):
            covered = min(verb.units, COVERED + room)
            more = covered > stream.ticket.covered
            stream.answered(Granted(UNITS, STATE, 0, covered) if more else Short(STATE, (0,), 0, 0))
        if stream.spent(seen) or seen + longest > UNITS:
            return
