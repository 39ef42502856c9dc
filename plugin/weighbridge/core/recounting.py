"""What is suspect on pages, counted again at one moment.

A counter is counted in the root it lives in, together with its open holds; what it was charged is read
from every root's journal, up to the entry that was its newest then.  With several roots those moments
are not quite the same one, so a number is wrong only where two counts find it wrong by as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from weighbridge.core.books import Figures, Page, Recount, Recounted, Row, Step, amount
from weighbridge.core.findings import Drift, Finding
from weighbridge.core.flow import Flow, ask
from weighbridge.core.ledger import LARGEST

T = TypeVar("T")
Told = Callable[[str, int], None]
"""Is told of progress: the book, rows read since it was last told."""
Roots = tuple[str, ...]
SUSPECTS: Final = 5000
"""Counters counted again in one step; each step reads the journal once more."""
STEPS: Final = 500


@dataclass(frozen=True, slots=True)
class Recounting:
    """A counter at one moment, and what the journals charged it until then."""

    counter: str
    figures: dict[str, Figures]
    """By root."""
    charged: int
    now: int
    whole: bool

    @property
    def home(self) -> str:
        """The root it lives in."""
        kept = (root for root, found in self.figures.items() if found.spent is not None or found.held is not None)
        return next(kept, next((root for root, found in self.figures.items() if found.open), next(iter(self.figures))))

    @property
    def forgotten(self) -> bool:
        """Past its time: it may be gone, or made anew by a late charge."""
        at = self.figures[self.home]
        return 0 < at.purge <= self.now and amount(at.spent) is not None

    def spent(self) -> Iterator[Drift | None]:
        """What is wrong with what it says was spent."""
        at, base = self.figures[self.home], 0
        found = amount(at.spent)
        for root, figures in self.figures.items():
            known = amount(figures.base)
            if known is None:
                known = max(0, (found or 0) - self.charged - base)
                yield Drift(self.counter, "base", known, figures.base or "", root=root)
            base += known
        total = min(base + self.charged, LARGEST)
        if found != total and not self.forgotten:
            yield Drift(self.counter, "spent", total, at.spent or "" if found is None else found, at.purge, self.home)

    def held(self) -> Iterator[Drift | None]:
        """What is wrong with what it says is held; None where that cannot be told."""
        at = self.figures[self.home]
        found, expected = amount(at.held), min(at.open, LARGEST)
        if not self.whole:
            yield None
        elif found != expected:
            yield Drift(self.counter, "held", expected, at.held or "" if found is None else found, at.purge, self.home)


Judge = Callable[[Recounting], Iterator[Drift | None]]


def drifted(suspects: Iterable[str], judge: Judge, roots: Roots, told: Told) -> Flow[list[Drift | None]]:
    """What is wrong with these counters; None for each that cannot be told."""
    found = yield from _counted(suspects, judge, roots, told)
    if len(roots) == 1 or not found:
        return found
    again = yield from _counted(dict.fromkeys(d.counter for d in found if d), judge, roots, told)
    off = {(drift.counter, drift.number, _by(drift)) for drift in found if drift}
    return [drift for drift in again if drift is None or (drift.counter, drift.number, _by(drift)) in off]


def _by(drift: Drift) -> int | str:
    return drift.found if isinstance(drift.found, str) else drift.found - drift.expected


def _counted(suspects: Iterable[str], judge: Judge, roots: Roots, told: Told) -> Flow[list[Drift | None]]:
    found: list[Drift | None] = []
    if judge is Recounting.spent:
        suspects = yield from _remembered(suspects, roots)
    for some in chunks(suspects, SUSPECTS):
        seen = yield from _recounted(some, roots)
        charged = dict.fromkeys(some, 0)
        if judge is Recounting.spent:
            for root, recounted in seen.items():
                yield from _charged(charged, recounted, root, told)
        for counted in _together(some, seen, charged):
            found += judge(counted)
    return found


def _remembered(suspects: Iterable[str], roots: Roots) -> Flow[list[str]]:
    """Those that are not past their time: the journal remembers many that are, and need not be read for them."""
    kept: list[str] = []
    for some in chunks(suspects, SUSPECTS):
        seen = yield from _recounted(some, roots)
        kept += [one.counter for one in _together(some, seen, dict.fromkeys(some, 0)) if not one.forgotten]
    return kept


def _recounted(fields: list[str], roots: Roots) -> Flow[dict[str, Recounted]]:
    seen: dict[str, Recounted] = {}
    for root in roots:
        seen[root] = yield from ask(Recount(tuple(fields), root=root))
    return seen


def _together(fields: list[str], seen: dict[str, Recounted], charged: dict[str, int]) -> Iterator[Recounting]:
    now, whole = max(one.now for one in seen.values()), all(one.whole for one in seen.values())
    for index, name in enumerate(fields):
        figures = {root: one.figures[index] for root, one in seen.items()}
        yield Recounting(name, figures, charged[name], now, whole)


def _charged(sums: dict[str, int], seen: Recounted, root: str, told: Told) -> Flow[None]:
    """Adds what a journal charged these counters up to the moment they were seen at."""
    rows, last = seen.head, _place(seen.last)
    while rows:
        for row in rows:
            if _place(row.name) > last:
                return
            for name, charged in row.amounts or ():
                if name in sums:
                    sums[name] += charged
        if _place(rows[-1].name) >= last:
            return
        rows = (yield from ask(Page("journal", rows[-1].name, root=root))).rows
        told("journal", len(rows))


def _place(cursor: str) -> tuple[int, int]:
    at, _, count = cursor.rpartition("-")
    return int(at or -1), int(count or 0)


def confirmed(ids: Iterable[tuple[str, str]], roots: Roots) -> Flow[tuple[list[Finding], int]]:
    """What is wrong with these holds and leases, each a root and an id, at one moment; and the store's time."""
    findings: list[Finding] = []
    found = sorted(ids)
    seen = yield from ask(Recount(root=roots[0]))
    for root in roots:
        for some in chunks((id for at, id in found if at == root), STEPS):
            seen = yield from ask(Recount(ids=tuple(some), root=root))
            for id, (row, ends) in zip(some, seen.holds, strict=True):
                findings += _wrong(id, row, ends, root)
    return findings, seen.now


def _wrong(id: str, row: Row | None, ends: int | None, root: str) -> Iterator[Finding]:
    if row is not None and row.amounts is None:
        yield Finding("not a hold", "holds", id, row.text, Step("end", id, found=row.text), root)
    elif row is not None and row.kind == "open":
        if ends is None:
            yield Finding("a hold without a lease", "holds", id, row.text, Step("end", id, found=row.text), root)
    elif ends is not None:
        yield Finding("a lease without a hold", "leases", id, str(ends), Step("unlease", id), root)


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of so many items, the last one shorter."""
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
