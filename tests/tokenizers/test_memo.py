"""The memo counts once, forgets in bounds, and keeps no text."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.tokenizers.memo import Memo


class Letters:
    """One token a character; counts how often it is asked."""

    name = "letters"

    def __init__(self) -> None:
        self.asked = 0

    def count(self, text: str) -> int:
        self.asked += 1
        return len(text)


def test_counted_once() -> None:
    letters = Letters()
    memo = Memo(letters)
    assert [memo.count("abc") for _ in range(3)] == [3, 3, 3]
    assert (letters.asked, memo.name) == (1, "letters")


def test_bounded_and_what_is_asked_again_stays() -> None:
    letters = Letters()
    memo = Memo(letters, entries=10)
    for i in range(1000):
        memo.count("kept")
        memo.count(f"text {i}")
    assert letters.asked == 1001
    assert len(memo._young) + len(memo._old) <= 20


@given(st.lists(st.text(max_size=5)), st.integers(1, 4))
def test_remembering_changes_no_count(texts: list[str], entries: int) -> None:
    memo = Memo(Letters(), entries)
    assert [memo.count(text) for text in texts] == [len(text) for text in texts]


def test_no_text_is_kept() -> None:
    memo = Memo(Letters())
    memo.count("secret " * 3)
    assert all(isinstance(part, int) for key in memo._young for part in key)
    assert not [held for held in gc.get_referents(memo._young) if isinstance(held, str)]


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Memo(Letters(), 0)
