"""What goes to a Redis server, and the names of the keys it goes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Word = str | int | bytes


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of one root's records."""

    prefix: str
    root: str

    def of(self, *parts: str) -> tuple[str, ...]:
        return tuple(f"{self.prefix}:{{{self.root}}}:{part}" for part in parts)


@dataclass(frozen=True, slots=True)
class Command:
    """What a client sends: a script by its verb, or (script "") a plain command in `args`."""

    script: str
    keys: tuple[str, ...]
    args: tuple[Word, ...]


def pairs(reply: Sequence[Any]) -> zip[tuple[Any, Any]]:
    """Names and values of a reply that lists them by turns."""
    return zip(reply[::2], reply[1::2], strict=True)
