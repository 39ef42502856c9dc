"""Text before it is counted: cut into slices that are safe to tokenize, and measured for estimates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from weighbridge.core.counting.memo import remembered

SLICE = 8_192
"""Characters handed to a tokenizer at once.  tiktoken panics on about a million blanks, and one
unbroken run of letters costs it more than linear time."""
SEARCHED = 512
"""Characters at the end of a slice in which a harmless place to cut is looked for."""

# Before a single blank between two words, and after a line's end: no token of the OpenAI
# vocabularies spans either, so the counts of the slices add up exactly.
_SEAM = re.compile(r"(?<=\S)(?= \S)|(?<=\n)(?=[^\s/])")

_MARKS = {
    **dict.fromkeys(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "A"),
    **dict.fromkeys(b"0123456789", "9"),
    **dict.fromkeys(b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "."),
    10: "\n",
    32: " ",
}
_CLASSES = "".join(_MARKS.get(c, "a") for c in range(256)).encode()
"""Byte of UTF-8 -> its class: capital, digit, mark, line break, blank, anything else."""


class Tokenizer(Protocol):
    """Counts the tokens of a text."""

    @property
    def name(self) -> str:
        """The vocabulary's name, e.g. "o200k_base"."""

    def count(self, text: str) -> int:
        """Tokens of a text; special tokens in it are plain text.  Never raises on any text of a
        slice's length."""

    def __hash__(self) -> int:
        """Of the instance: what it counted is remembered for it."""


class Reader(Protocol):
    """Reads the text of documents."""

    def pages(self, data: str) -> Sequence[str] | None:
        """The text of each page of a PDF (base64); None where it cannot be read.  Never raises."""


class Blind:
    """The reader where there is none."""

    def pages(self, data: str) -> Sequence[str] | None:
        """Nothing can be read."""
        return None


@dataclass(frozen=True, slots=True)
class Weights:
    """Tokens of a vocabulary that is not public, from what can be measured: a fitted sum."""

    token: float
    """Per token of the vocabulary counted with."""
    digit: float = 0.0
    """Per digit."""
    grouped: float = 0.0
    """Per digit that stands in one token with the digit before it (OpenAI's join up to three)."""
    tripled: float = 0.0
    """Per three digits in a row (some have one token for them that the vocabulary has not)."""
    starred: float = 0.0
    """Per two asterisks (Markdown's bold)."""
    shouted: float = 0.0
    """Per blank between two capitals: a TEXT IN CAPITALS."""
    joined: float = 0.0
    """Per line break after a mark (OpenAI's have one token for both)."""


def slices(text: str) -> Iterator[str]:
    """The text in pieces of at most SLICE characters, cut where no token is cut, if there is such a place."""
    start, length = 0, len(text)
    while length - start > SLICE:
        end = start + SLICE
        seams = [m.start() for m in _SEAM.finditer(text, end - SEARCHED, end)]
        cut = seams[-1] if seams else end
        yield text[start:cut]
        start = cut
    yield text[start:] if start else text


@lru_cache(maxsize=64)
def gauge(
    tokenizer: Tokenizer, weights: Weights | None = None, form: Callable[[str], str] | None = None
) -> Callable[[str], float]:
    """What a text weighs, remembered by content: tokens of a vocabulary, or what they are estimated to stand for.
    With a `form`, what the text weighs as that writes it."""
    if form is not None:
        return remembered(lambda text: sum(map(gauge(tokenizer, weights), slices(form(text)))))
    if weights is None:
        return remembered(tokenizer.count)
    return remembered(lambda text: weigh(tokenizer.count(text), text, weights))


def weigh(tokens: int, text: str, weights: Weights) -> float:
    """Estimated tokens of a text that has `tokens` in a vocabulary at hand."""
    classes = text.encode("utf-8", "surrogatepass").translate(_CLASSES)
    digits = classes.count(b"9")
    threes = classes.count(b"999") if digits else 0
    twos = classes.replace(b"999", b"").count(b"99") if digits else 0
    return (
        weights.token * tokens
        + weights.digit * digits
        + weights.grouped * (2 * threes + twos)
        + weights.tripled * threes
        + (weights.starred * text.count("**") if weights.starred else 0.0)
        + weights.shouted * classes.count(b"A A")
        + weights.joined * classes.count(b".\n")
    )
