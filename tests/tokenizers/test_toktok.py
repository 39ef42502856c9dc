"""With and without the accelerator the counts are the same."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.tokenizers.tiktoken import TiktokenTokenizer
from weighbridge.tokenizers.toktok import KNOWN, SAMPLE, ToktokTokenizer, accelerated, certain

pytest.importorskip("toktok", reason="toktok-rs is not installed")
EXACT = {name: TiktokenTokenizer(name) for name in KNOWN}
FAST = {name: accelerated(exact) for name, exact in EXACT.items()}
NAMES = pytest.mark.parametrize("name", KNOWN)
AROUND = ("{}", "a{}", "{}a", " {}", "{} ", "'{}", "{}s", "1{}", "\n{}", "A{}b", "!{}", "{}\n")
LATER = "\u1acf\ua7ce\U00010940\U00016ea0\U000187f8\U0001e6c0\U000323b0"
"""Letters that came with Unicode 17, one of each block."""

SPACED = (" ", "  ", "\n", "\r\n", "\t", "7,345", "<|endoftext|>", "'s", "'LL", "don't", "\u017f", "'\u017f")
SPELLED = ("稱量", "한국", "ไทย", "🚚", "👩\u200d🚒", "é", "e\u0301", "“quoted”", "…")
words = st.sampled_from([*SPACED, *SPELLED, *LATER])
texts = st.lists(st.one_of(words, st.text(max_size=6)), max_size=12).map("".join)


@NAMES
@settings(max_examples=400)
@given(text=texts)
def test_any_text(name: str, text: str) -> None:
    assert FAST[name].count(text) == EXACT[name].count(text)


@NAMES
def test_every_character_that_is_left_to_it(name: str) -> None:
    points = [*range(0x3000), *range(0x3000, 0xD800, 31), *range(0xE000, 0x10000, 31), *range(0x1F000, 0x20000)]
    for point in points:
        if certain(chr(point)):
            text = "\0".join(form.format(chr(point)) for form in AROUND)
            assert FAST[name].count(text) == EXACT[name].count(text), hex(point)


@pytest.mark.parametrize("text", ["'\u017f", "\ud800", *LATER], ids=ascii)
def test_what_is_left_to_tiktoken(text: str) -> None:
    assert not certain(text)


@pytest.mark.parametrize("text", ["", "plain", "Größe", "稱量", "“…”", "🚚", "\0"], ids=ascii)
def test_what_is_certain(text: str) -> None:
    assert certain(text)


@NAMES
def test_the_sample_is_tiktokens(name: str) -> None:
    assert EXACT[name].count(SAMPLE) == KNOWN[name]


class Wrong:
    def count(self, text: str) -> int:
        return 1


@pytest.mark.parametrize("opens", [lambda name: Wrong(), None], ids=["another count", "another interface"])
def test_a_version_that_counts_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch, opens: object) -> None:
    another = ModuleType("toktok")
    if opens is not None:
        another._encoding = opens  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "toktok", another)
    found = ToktokTokenizer(EXACT["o200k_base"])
    assert found.count(SAMPLE) == KNOWN["o200k_base"]


def test_other_vocabularies_are_left_alone() -> None:
    other = TiktokenTokenizer("p50k_base")
    assert accelerated(other) is other
