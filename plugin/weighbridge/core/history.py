"""What calls like one returned: a histogram of output tokens, a hundred bytes for each.

Bins are half an octave wide, so an expectation is at most half again what was seen:

    bin          0  1  2  3  4  5   6   7   8  ...
    upper edge   1  2  3  4  6  8  12  16  24  ...

Counts are whole and halved when they sum to `FULL`, so the past fades.  `lua/histories.lua` keeps
the same integers (a property test holds them together).
"""

from __future__ import annotations

from dataclasses import dataclass

ENOUGH = 20
"""Fewer observations say nothing: the worst case is held."""
FULL = 256


@dataclass(frozen=True, slots=True)
class History:
    """What was seen, and when last (milliseconds)."""

    at: int = 0
    counts: tuple[tuple[int, int], ...] = ()
    """(bin, how often), by bin; no bin with none."""

    def after(self, output: int, now: int) -> History:
        """With one more call, which returned `output` tokens at `now`."""
        counts = dict(self.counts)
        seen = bin_of(output)
        counts[seen] = counts.get(seen, 0) + 1
        if sum(counts.values()) >= FULL:
            counts = {number: often // 2 for number, often in counts.items() if often > 1}
        return History(now, tuple(sorted(counts.items())))

    def expected(self) -> int | None:
        """Output tokens that 95 of 100 such calls did not exceed; None: too few were seen."""
        total = sum(often for _, often in self.counts)
        if total < ENOUGH:
            return None
        below = 0
        for number, often in self.counts:
            below += often
            if 20 * below >= 19 * total:
                return edge(number)
        raise AssertionError("unreachable: all the bins hold all that was seen")


def edge(number: int) -> int:
    """The largest output in a bin."""
    if number % 2:
        return 2 << number // 2
    return 3 << number // 2 - 1 if number else 1


def bin_of(output: int) -> int:
    """The bin that counts an output."""
    number = 0
    while edge(number) < output:
        number += 1
    return number
