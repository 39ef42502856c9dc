"""Fits a Calibration to bills: first what a host adds to every prompt, then, with more rows, a factor.

Everything is a median, so that a few odd bills move nothing, and a number is kept only where it
helps on rows it was not fitted on.  The bound is conformal: the quantile of what was seen, with the
finite-sample correction, so that it holds for whatever comes from where these rows came from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log
from statistics import fmean, median
from zlib import crc32

from weighbridge.core.counting.calibration import FACTORS, Calibration, Key, Line
from weighbridge.core.model import Estimate

COVERED = 0.99
FOR_ADD = 3
"""Bills from which a constant is believed."""
FOR_FACTOR = 8
"""Bills from which a factor is."""
SPREAD = 2.0
"""A factor is only looked for where the longest prompt is this many times the shortest."""
GAIN = 0.95
"""A correction must bring the error down to this share of what it was."""
MOST_WORSE = 0.2
SAME = 0.01
"""Share of bills that may be farther off with a correction than without, by more than this ratio."""
FOLDS = 5
MOST_ROWS = 240
"""Bills of one line that are looked at; pairs of them are formed."""
FOR_BOUND = ceil(COVERED / (1 - COVERED))
"""Bills without which no quantile can promise that share."""


@dataclass(frozen=True, slots=True)
class Bill:
    """One exchange: what it was estimated at and what it was billed."""

    key: Key
    estimate: Estimate
    billed: int
    source: str = ""
    """What it was recorded with; bills of one source are alike, so they are held out together."""


Fit = Callable[[Sequence[Bill]], Line]


def fit(bills: Sequence[Bill], made: str = "") -> Calibration:
    """The calibration these bills ask for."""
    groups: defaultdict[Key, list[Bill]] = defaultdict(list)
    for bill in bills:
        groups[bill.key].append(bill)
    lines = {key: _line(group) for key, group in groups.items() if len(group) >= FOR_ADD}
    return Calibration(made, _bounded(lines, groups))


def parted(bills: Sequence[Bill], share: float = 0.3) -> tuple[list[Bill], list[Bill]]:
    """(to fit on, held out), whole sources at a time; the same at every run."""
    held = [bill for bill in bills if _place(bill.source) < share]
    kept = [bill for bill in bills if _place(bill.source) >= share]
    return kept, held


def _place(source: str) -> float:
    """Where a source falls between 0 and 1."""
    return crc32(source.encode("utf-8", "surrogatepass")) / 2**32


def _line(bills: Sequence[Bill]) -> Line:
    """The simplest line that is not clearly beaten by the next one, on bills it was not fitted on."""
    bills = bills[:: -(-len(bills) // MOST_ROWS)]
    best = nothing(bills)
    known = _errors(bills, nothing)
    for candidate, least in ((constant, FOR_ADD), (straight, FOR_FACTOR)):
        if len(bills) < least or (candidate is straight and not _spread(bills)):
            break
        errors = _errors(bills, candidate)
        if _better(errors, known):
            best, known = candidate(bills), errors
    return best


def _better(errors: Sequence[float], known: Sequence[float]) -> bool:
    """Clearly less error in all, and hardly a bill that is farther off: a constant that suits most of a
    mixed lot would ruin the rest."""
    worse = sum(error > before + SAME for error, before in zip(errors, known, strict=True))
    return fmean(errors) < GAIN * fmean(known) and worse <= MOST_WORSE * len(errors)


def nothing(bills: Sequence[Bill]) -> Line:
    """The built-in estimate as it is."""
    return Line()


def constant(bills: Sequence[Bill]) -> Line:
    """What is added to every prompt."""
    return Line(add=round(median(bill.billed - bill.estimate.tokens for bill in bills)))


def straight(bills: Sequence[Bill]) -> Line:
    """A constant and a factor, by the median of all slopes (Theil and Sen)."""
    points = [(bill.estimate.tokens, bill.billed) for bill in bills]
    slopes = [(y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[:i] if abs(x2 - x1) > 0]
    if not slopes:
        return constant(bills)
    factor = round(min(max(median(slopes), FACTORS[0]), FACTORS[1]), 4)
    return Line(add=round(median(y - factor * x for x, y in points)), factor=factor)


def _spread(bills: Sequence[Bill]) -> bool:
    sizes = [bill.estimate.tokens for bill in bills]
    return max(sizes) >= SPREAD * max(1, min(sizes))


def _errors(bills: Sequence[Bill], by: Fit) -> list[float]:
    """Error of each bill, left out while the rest is fitted."""
    names = sorted({bill.source for bill in bills})
    # Few sources: rows of one recording still say what their host adds.
    fold = {name: i % FOLDS for i, name in enumerate(names)} if len(names) >= FOLDS else None
    errors = []
    for number in range(FOLDS):
        inside = [(fold[bill.source] if fold else i % FOLDS) != number for i, bill in enumerate(bills)]
        rest = [bill for bill, kept in zip(bills, inside, strict=True) if kept]
        out = [bill for bill, kept in zip(bills, inside, strict=True) if not kept]
        line = by(rest) if rest else Line()
        errors += [_error(line, bill) for bill in out]
    return errors


def _error(line: Line, bill: Bill) -> float:
    """Too high and too low by the same ratio are equally wrong."""
    return abs(log((line.tokens(bill.estimate.tokens) + 1) / (bill.billed + 1)))


def _bounded(lines: Mapping[Key, Line], groups: Mapping[Key, Sequence[Bill]]) -> dict[Key, Line]:
    """The lines with their slack."""
    excess = {key: [_excess(line, bill) for bill in groups[key]] for key, line in lines.items()}
    at_provider: defaultdict[str, list[float]] = defaultdict(list)
    for key, found in excess.items():
        at_provider[key.provider] += found
    slack = {key: _slack(found, at_provider[key.provider]) for key, found in excess.items()}
    return {
        key: replace(line, slack=ceil(slack[key] * 1000) / 1000, rows=len(groups[key])) for key, line in lines.items()
    }


def _slack(own: Sequence[float], at_provider: Sequence[float]) -> float:
    """By its own bills where they suffice for the promise.  Else the built-in slack: narrowed to what
    suffices for its provider's other models, widened to what its own few bills show."""
    if len(own) >= FOR_BOUND:
        return max(0.0, conformal(own))
    usual = conformal(at_provider) if len(at_provider) >= FOR_BOUND else 1.0
    return max(0.0, min(1.0, usual), *own)


def _excess(line: Line, bill: Bill) -> float:
    """How far a bill lies above its corrected estimate, in lengths of the built-in slack."""
    width = max(1, bill.estimate.upper - bill.estimate.tokens)
    return (bill.billed - line.tokens(bill.estimate.tokens)) / width


def conformal(scores: Sequence[float], share: float = COVERED) -> float:
    """What the next score stays at or under with this probability (needs FOR_BOUND scores)."""
    rank = ceil((len(scores) + 1) * share)
    return sorted(scores)[min(rank, len(scores)) - 1]
