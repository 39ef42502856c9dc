"""What an answer weighs that nobody reported: the text that went by, counted, and what is billed around it.

Measured on 1,584 recorded answers that were billed (November 2026), hidden reasoning left out: 91 % weigh at
least their bill, and of those with a hundred tokens and more the median weighs 1.07 of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from weighbridge.core.counting import FAMILIES, OTHER, own
from weighbridge.core.counting.text import Tokenizer, slices, weigh
from weighbridge.core.model import CutOff, Model


@dataclass(frozen=True, slots=True)
class Frame:
    """What is billed of an answer beside its text."""

    answer: int
    """Tokens of every answer: its end, formats that are not shown."""
    call: int
    """Tokens of each call of a tool beside its arguments: its name, the words around it."""
    margin: float = 1.0
    """Of the text: what is counted in a vocabulary that is not the model's own is an estimate."""


FRAMES: Mapping[str, Frame] = {
    "openai": Frame(9, 20),
    "anthropic": Frame(12, 60, 1.1),
    "gemini": Frame(2, 20, 1.1),
}
UNKNOWN = Frame(8, 40, 1.1)


def answered(seen: CutOff, model: Model, tokenizer: Tokenizer) -> int | None:
    """Output tokens of what went by, rather too many than too few; None where no text was kept of it."""
    if not seen.text_bytes and not seen.seen_calls:
        return None
    weights = None if own(model) else FAMILIES.get(model.family, OTHER).weights(model)

    def count(text: str) -> float:
        tokens = tokenizer.count(text)
        return tokens if weights is None else weigh(tokens, text, weights)

    frame = FRAMES.get(model.family, UNKNOWN)
    # A long answer was kept in part: the rest is like it.
    whole = sum(map(count, slices(seen.text))) * max(1.0, seen.seen_bytes / max(1, seen.text_bytes))
    return ceil(whole * frame.margin) + frame.answer + frame.call * seen.seen_calls
