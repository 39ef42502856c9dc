"""Slices add up, and no text stalls or stops the scale."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting.scale import LimitPassed, Scale
from weighbridge.core.counting.text import SLICE, Weights, slices, weigh
from weighbridge.tokenizers import load

O200K = load("o200k_base")
PROSE = "The lorry stands on the scale, 40,000 kg.\nIt is weighed again: «encore», 再び!\n\n  def f(x): pass\n"


def counted(text: str) -> int:
    scale = Scale(O200K, None)
    scale.text("messages", text)
    return scale.parts().messages


@given(st.text(max_size=3 * SLICE))
def test_slices_join_to_the_text(text: str) -> None:
    pieces = list(slices(text))
    assert "".join(pieces) == text
    assert all(len(piece) <= SLICE for piece in pieces)


@pytest.mark.parametrize("name", ["o200k_base", "cl100k_base"])
@pytest.mark.parametrize("shift", range(0, 60, 7))
def test_slices_of_written_text_add_up_exactly(name: str, shift: int) -> None:
    text = "x" * shift + PROSE * 400
    whole = load(name).count(text)
    assert sum(load(name).count(piece) for piece in slices(text)) == whole


@pytest.mark.parametrize(
    ("text", "least"),
    [
        pytest.param(" " * 1_200_000, 9_000, id="a million blanks"),
        pytest.param("\t \n" * 400_000, 100_000, id="white space"),
        pytest.param("a" * 1_000_000, 100_000, id="a million a"),
        pytest.param("QUJD" * 50_000, 50_000, id="base64"),
        pytest.param("<|endoftext|>", 3, id="a special token is text"),
        pytest.param("\ud800 lone \udfff", 3, id="lone surrogates"),
        pytest.param("\0" * 100, 10, id="nul"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_every_text_is_counted(text: str, least: int) -> None:
    assert least <= counted(text) <= 4 * len(text)


def test_counting_stops_at_the_limit() -> None:
    scale = Scale(O200K, 1000)
    with pytest.raises(LimitPassed):
        scale.text("messages", PROSE * 100_000)
    assert 1000 < scale.parts().messages < 1000 + SLICE


def test_what_is_measured_for_an_estimate() -> None:
    weights = Weights(token=0.0, digit=1.0, grouped=100.0, shouted=10_000.0, joined=1_000_000.0)
    assert weigh(7, "A B 12 3456 é 再.\nno\n", weights) == 1_010_306
    assert weigh(7, "\ud800", Weights(token=2.0)) == 14
