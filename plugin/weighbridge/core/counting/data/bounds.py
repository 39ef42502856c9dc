"""How far above the estimate a bill may lie, by family and by what the call holds.

`upper = tokens * factor + more` covers at least 99 % of the recorded bills of each family (November
2026); the smallest pair that does, for a class with rows enough, else its family's.
"""

from __future__ import annotations

from dataclasses import dataclass

from weighbridge.core.counting.scale import Kind


@dataclass(frozen=True, slots=True)
class Bound:
    """A straight line above the estimate."""

    factor: float
    more: int


ORDER: tuple[Kind, ...] = ("server", "document", "av", "image", "hidden", "thinking", "structured", "tools")
"""The first of these that a call holds is its class; a call that holds none is text."""
WIDEST = Bound(3.0, 1000)

BOUNDS: dict[str, dict[Kind, Bound]] = {}
