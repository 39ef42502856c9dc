"""Vocabularies from disk: `load(name)` gives something that satisfies `core.counting.Tokenizer`."""

from __future__ import annotations

from functools import lru_cache

from weighbridge.tokenizers.memo import Memo
from weighbridge.tokenizers.tiktoken import TiktokenTokenizer

__all__ = ["load"]


@lru_cache(maxsize=32)
def load(name: str) -> Memo:
    """The tokenizer of that name ("o200k_base", "cl100k_base", ...), one memoised instance a process.

    Cheap: the vocabulary is read at the first count.  Raises ConfigError, at that count, for a name
    nobody knows and for a vocabulary that is neither on this machine nor to be had.
    """
    return Memo(TiktokenTokenizer(name))
