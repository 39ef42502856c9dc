"""Generated text as it goes by, kept for counting: all of a usual answer, an even part of a long one.

Memory is bounded, whatever goes by: at most `BLOCKS` blocks of about `BLOCK` bytes."""

from __future__ import annotations

import json

BLOCK = 1024
BLOCKS = 24


class Sample:
    """Text in pieces of JSON strings, their escapes still in them."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._block = bytearray()
        self._number = 0
        self._every = 1

    def add(self, piece: bytes) -> None:
        """The next piece."""
        self._block += piece[:BLOCK] if len(piece) > BLOCK * BLOCKS else piece
        if len(self._block) >= BLOCK:
            self._keep()

    def _keep(self) -> None:
        if self._number % self._every == 0:
            self._blocks += (bytes(self._block[at : at + BLOCK]) for at in range(0, len(self._block), BLOCK))
        self._number += 1
        self._block.clear()
        while len(self._blocks) > BLOCKS:
            # Every second block makes room for as many again, and stands for its neighbour.
            self._blocks = self._blocks[::2]
            self._every *= 2

    def text(self) -> tuple[str, int]:
        """What was kept, and the bytes it was written with."""
        kept = [*self._blocks, *([bytes(self._block)] if self._block else [])]
        return "".join(map(_plain, kept)), sum(map(len, kept))


def _plain(block: bytes) -> str:
    """A piece of a JSON string as text; what is none, as it stands."""
    text = block.decode("utf-8", "replace")
    try:
        plain = json.loads(f'"{text}"', strict=False)
    except ValueError:
        return text
    return plain if isinstance(plain, str) else text
