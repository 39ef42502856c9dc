"""Tokens of an image from its size, by each provider's published geometry.  Sizes in pixels."""

from __future__ import annotations

from math import ceil, floor, sqrt


def tiles(width: int, height: int, base: int, tile: int) -> int:
    """OpenAI's tile models: shrink into 2048 x 2048, the short side to 768, tiles of 512."""
    width, height = _shrink(width, height, 2048 / max(width, height))
    width, height = _shrink(width, height, 768 / min(width, height))
    return base + tile * ceil(width / 512) * ceil(height / 512)


def patches(width: int, height: int, budget: int, edge: int | None, factor: float) -> int:
    """OpenAI's patch models: patches of 32, at most `budget` of them, each at `factor` tokens."""
    if edge is not None:
        width, height = _shrink(width, height, edge / max(width, height))
    count = ceil(width / 32) * ceil(height / 32)
    if count > budget:
        k = sqrt(32 * 32 * budget / (width * height))
        across, down = width * k / 32, height * k / 32
        k *= min(max(1, floor(across)) / across, max(1, floor(down)) / down)
        # Slivers do not shrink to whole patches: they cost the budget.
        count = min(budget, ceil(floor(width * k) / 32) * ceil(floor(height * k) / 32))
    return ceil(count * factor)


def squares(width: int, height: int, edge: int, most: int) -> int:
    """Claude: squares of 28, no side longer than `edge`, at most `most` of them; larger images are
    shrunk to the largest size of their shape that fits."""
    if _squares(width, height, edge, most) is not None:
        return _squares(width, height, edge, most) or 0
    long, short = max(width, height), min(width, height)
    low, high = 1, long
    while low < high:
        middle = (low + high + 1) // 2
        fits = _squares(middle, max(1, round(short * middle / long)), edge, most) is not None
        low, high = (middle, high) if fits else (low, middle - 1)
    return _squares(low, max(1, round(short * low / long)), edge, most) or 1


def _squares(width: int, height: int, edge: int, most: int) -> int | None:
    across, down = ceil(width / 28), ceil(height / 28)
    fits = across * 28 <= edge and down * 28 <= edge and across * down <= most
    return across * down if fits else None


def area(width: int, height: int, budget: int) -> int:
    """Gemini 3: the image's shape laid out in about `budget` tokens, whatever its size."""
    return floor(sqrt(budget * width / height)) * floor(sqrt(budget * height / width))


def crops(width: int, height: int, each: int) -> int:
    """Gemini 2.0: small images cost one crop; larger ones a view of the whole and their crops."""
    if max(width, height) <= 384:
        return each
    side = min(768.0, max(256.0, min(width, height) / 1.5))
    return each * (ceil(width / side) * ceil(height / side) + 1)


def _shrink(width: int, height: int, by: float) -> tuple[int, int]:
    if by >= 1:
        return width, height
    return max(1, floor(width * by)), max(1, floor(height * by))
