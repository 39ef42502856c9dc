"""Estimates held against bills: how far off, and how often above the bound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import fmean, median

from weighbridge.core.model import Estimate, Json

ALL = "all"


@dataclass(frozen=True, slots=True)
class Score:
    """One exchange that was counted and billed."""

    group: str
    """Whose it is: a family of models, a dialect, a provider, ..."""
    kind: str
    """What it holds beside text."""
    estimate: Estimate
    billed: int
    """At least 1."""

    @property
    def error(self) -> float:
        """How far off the estimate is, as a part of the bill."""
        return abs(self.estimate.tokens - self.billed) / self.billed


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What estimates are worth, over some exchanges.  Shares are from 0 to 1."""

    n: int
    exact: float
    """Share that is exactly the bill."""
    median: float
    mean: float
    p95: float
    """Errors, as parts of the bill; p95 is the one that 95 % stay at or under."""
    sum: float
    """All estimates over all bills."""
    coverage: float
    """Share of bills at or under `upper`."""
    upper: float
    """All bounds over all bills."""

    def document(self) -> dict[str, Json]:
        """As JSON, rounded to what the figures carry."""
        return {name: round(getattr(self, name), 6) for name in self.__slots__}


def accuracy(scores: Sequence[Score]) -> Accuracy:
    """Over at least one score."""
    errors = sorted(score.error for score in scores)
    bills = sum(score.billed for score in scores)
    return Accuracy(
        n=len(scores),
        exact=fmean(score.estimate.tokens == score.billed for score in scores),
        median=median(errors),
        mean=fmean(errors),
        p95=quantile(errors, 0.95),
        sum=sum(score.estimate.tokens for score in scores) / bills,
        coverage=fmean(score.estimate.upper >= score.billed for score in scores),
        upper=sum(score.estimate.upper for score in scores) / bills,
    )


def quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all stay at or under."""
    return ascending[max(0, ceil(share * len(ascending)) - 1)]


def table(scores: Iterable[Score]) -> Mapping[tuple[str, str], Accuracy]:
    """By group and kind, with each group's and the whole's sum under "all"; groups and kinds in order of name."""
    found: defaultdict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in scores:
        for group in (score.group, ALL):
            for kind in (score.kind, ALL):
                found[group, kind].append(score)
    order = sorted(found, key=lambda key: (key[0] == ALL, key[0], key[1] == ALL, key[1]))
    return {key: accuracy(found[key]) for key in order}
