"""A SentencePiece vocabulary from a file: Gemma's, with which Gemini's text is exact offline."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from weighbridge.core.errors import ConfigError


class SentencePieceTokenizer:
    """Read at the first count.  Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path

    def count(self, text: str) -> int:
        """Tokens of a text.  Raises ConfigError where the file cannot be read."""
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return len(self._processor.encode(clean))

    @cached_property
    def _processor(self) -> Any:
        try:
            from sentencepiece import SentencePieceProcessor
        except ModuleNotFoundError as missing:
            raise ConfigError(f"{self._path} needs sentencepiece: pip install sentencepiece") from missing
        try:
            return SentencePieceProcessor(model_file=str(self._path))
        except (OSError, RuntimeError) as error:
            raise ConfigError(f"no SentencePiece vocabulary can be read from {self._path}: {error}") from error
