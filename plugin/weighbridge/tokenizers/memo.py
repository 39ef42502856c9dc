"""Counts remembered by content: a chat resends its history, and only what is new should cost."""

from __future__ import annotations

from weighbridge.core.counting import Tokenizer


class Memo:
    """A tokenizer that remembers its last counts, two generations of `entries` texts each.

    Keys are (hash, length): no prompt is kept alive.  Python salts its string hash per process, so
    nobody can aim a collision; an accidental one needs about 2**32 texts of one length.
    Threads may use it together: dict reads and writes are atomic, and a lost entry is only counted
    again.  When the young generation is full it becomes the old one, and the old one is dropped;
    what is asked for again moves up, so a living chat stays.
    """

    def __init__(self, tokenizer: Tokenizer, entries: int = 32_768) -> None:
        if entries < 1:
            raise ValueError("entries must be at least 1")
        self.name = tokenizer.name
        self._tokenizer = tokenizer
        self._entries = entries
        self._young: dict[tuple[int, int], int] = {}
        self._old: dict[tuple[int, int], int] = {}

    def count(self, text: str) -> int:
        """Tokens of a text."""
        key = (hash(text), len(text))
        known = self._young.get(key)
        if known is not None:
            return known
        known = self._old.get(key)
        if known is None:
            known = self._tokenizer.count(text)
        if len(self._young) >= self._entries:
            self._old, self._young = self._young, {}
        self._young[key] = known
        return known
