"""What is noted of a stream is never less than what went by, and is not noted at every chunk."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gates import Gate
from weighbridge.core.model import CutOff, Usage
from weighbridge.core.settlement import STEP, Wake, written

TICKET = Gate(False).open(stream=True)
SIZES = st.lists(st.integers(0, 5000), max_size=60)


@given(SIZES, st.booleans())
def test_at_any_time_at_least_what_went_by_is_noted(chunks: list[int], reports: bool) -> None:
    wake = Wake(TICKET)
    noted, seen = wake.first(), CutOff("", Usage(input=3) if reports else None)
    for size in chunks:
        seen = replace(seen, seen_bytes=seen.seen_bytes + size, seen_events=seen.seen_events + 1)
        noted = wake.due(seen) or noted
        assert written(noted) >= written(seen)
        assert noted.partial == seen.partial
        assert written(noted) <= written(seen) * 5 // 4 + STEP


def test_notes_become_rare() -> None:
    wake = Wake(TICKET)
    notes = [n for n in range(1, 10_001) if wake.due(CutOff("", seen_bytes=3 * n, seen_events=n))]
    assert len(notes) < 25


def test_hidden_reasoning_that_is_reported_is_noted() -> None:
    due = Wake(TICKET).due(CutOff("", Usage(input=9, output=700)))
    assert due is not None and written(due) >= 700


def test_a_plain_answer_is_taken_to_come_whole() -> None:
    assert Wake(Gate(False).open()).first().seen_bytes == 0
