"""Vocabularies from disk: `load(name)` gives something that satisfies `core.counting.Tokenizer`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from weighbridge.core.counting import Tokenizer
from weighbridge.core.errors import ConfigError
from weighbridge.tokenizers.huggingface import HuggingFaceTokenizer
from weighbridge.tokenizers.sentencepiece import SentencePieceTokenizer
from weighbridge.tokenizers.tiktoken import TiktokenTokenizer
from weighbridge.tokenizers.toktok import accelerated

__all__ = ["load"]

SENTENCEPIECE = (".model", ".spm", ".spiece")


@lru_cache(maxsize=32)
def load(name: str) -> Tokenizer:
    """The tokenizer of that name ("o200k_base", "cl100k_base", ...), or of that path: a directory with
    a `tokenizer.json`, that file, or a SentencePiece vocabulary.  One instance a process.

    Cheap: the vocabulary is read at the first count.  Raises ConfigError, then or now, for a name
    nobody knows and for a vocabulary that is neither on this machine nor to be had.
    """
    if "/" not in name and "\\" not in name:
        return accelerated(TiktokenTokenizer(name))
    path = Path(name).expanduser()
    if path.is_file() and path.suffix in SENTENCEPIECE:
        return SentencePieceTokenizer(path)
    if path.is_file() or (path / "tokenizer.json").is_file():
        return HuggingFaceTokenizer(path)
    raise ConfigError(
        f"there is no tokenizer at {name}; give a directory with a tokenizer.json, or a SentencePiece file "
        f"({', '.join(SENTENCEPIECE)})"
    )
