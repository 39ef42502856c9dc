"""Weights remembered by content: a chat resends its history, and only what is new should cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

N = TypeVar("N", int, float)


def remembered(weigh: Callable[[str], N], entries: int = 32_768) -> Callable[[str], N]:
    """The same function of a text, which remembers two generations of `entries` results each.

    Keys are hashes of 64 bits: no prompt is kept alive.  Python salts its string hash per process, so
    nobody can aim a collision; an accidental one needs about 2**32 texts.
    Threads may use it together: dict reads and writes are atomic, and a lost entry is only weighed
    again.  When the young generation is full it becomes the old one, and the old one is dropped;
    what is asked for again moves up, so a living chat stays.
    """
    if entries < 1:
        raise ValueError("entries must be at least 1")
    young: dict[int, N] = {}
    old: dict[int, N] = {}

    def recall(text: str) -> N:
        known = young.get(hash(text))
        return renew(text) if known is None else known

    def renew(text: str) -> N:
        nonlocal young, old
        known = old.get(hash(text))
        if known is None:
            known = weigh(text)
        if len(young) >= entries:
            old, young = young, {}
        young[hash(text)] = known
        return known

    return recall
