"""Proof that the books agree, and what puts them right where they do not.

    held = what the open holds add up to        spent = base + what the journal charged

A flow (`core.flow`) in two looks.  First every book is read page by page, while calls go on: what does
not agree then is suspect.  Suspects are counted again at one moment (`Recount`, and the journal up to
that moment), so that traffic is never taken for drift.  Repair adds the difference, and what cannot
be read is taken out and kept aside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeVar

from weighbridge.core.books import (
    BOOKS,
    ROOT,
    Book,
    Figures,
    Mend,
    Page,
    Recount,
    Recounted,
    Row,
    Step,
    amount,
)
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.findings import READERS, Drift, Finding, Reading
from weighbridge.core.flow import Flow, ask
from weighbridge.core.ledger import LARGEST

T = TypeVar("T")
Told = Callable[[str, int], None]
"""Is told of progress: the book, rows read since it was last told."""
SUSPECTS: Final = 5000
"""Counters counted again in one step; each step reads the journal once more."""
STEPS: Final = 500
ROUNDS: Final = 3
"""Looks at records that need mending: what one repair uncovers (a book taken out) the next mends."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found."""

    counters: int
    holds: int
    """Open ones."""
    entries: int
    drift: tuple[Drift, ...] = ()
    findings: tuple[Finding, ...] = ()
    expired: int = 0
    """Open holds whose lease is over and that nobody has swept yet: no fault."""
    unproved: int = 0
    """Counters whose holds could not be added up at one moment, as too many are open."""
    mended: int | None = None
    """Steps a repair took; None where none was asked for."""
    failed: int = 0
    """Steps it could not take: what they would mend changed meanwhile."""

    @property
    def ok(self) -> bool:
        """Whether the books agree."""
        return not self.drift and not self.findings


def auditing(*, repair: bool = False, told: Told = lambda book, rows: None, root: str = ROOT) -> Flow[Audit]:
    """Look at one root's books; with `repair`, mend what is found and answer what that was."""
    first = found = yield from _look(root, told)
    if not repair:
        return first
    findings, taken = list[Finding](), list[bool]()
    for _ in range(ROUNDS):
        if not found.findings:
            break
        findings += [finding for finding in found.findings if finding not in findings]
        taken += yield from _take([finding.step for finding in found.findings], root)
        found = yield from _look(root, told)
    lost = any(finding.book == "journal" for finding in findings)
    taken += yield from _take([_correction(drift, lost) for drift in found.drift], root)
    done = sum(taken)
    told_of = first.drift or found.drift
    return replace(found, drift=told_of, findings=tuple(findings), mended=done, failed=len(taken) - done)


def _take(steps: Iterable[Step], root: str) -> Flow[list[bool]]:
    taken: list[bool] = []
    for some in _chunks(steps, STEPS):
        taken += yield from ask(Mend(tuple(some), root))
    return taken


def _correction(drift: Drift, lost: bool) -> Step:
    """What mends a number: the difference is added.  Where lines of the journal were lost, spending
    above it is theirs, and is kept as the base."""
    if isinstance(drift.found, str):
        return Step("set", drift.counter, drift.number, drift.found, drift.expected, drift.purge)
    change = drift.expected - drift.found
    if lost and drift.number == "spent" and change < 0:
        return Step("add", drift.counter, "base", amount=-change)
    return Step("add", drift.counter, drift.number, amount=change, purge=drift.purge)


def _look(root: str, told: Told) -> Flow[Audit]:
    reading = Reading()
    for book in BOOKS:
        try:
            yield from _read(book, reading, root, told)
        except StoreCorrupt as error:
            reading.findings.append(Finding("not of the ledger's type", book, "", str(error), Step("remove", book)))
    broken = tuple(finding for finding in reading.findings if finding.step.way == "remove")
    audit = Audit(reading.counters, reading.holds, reading.entries, findings=broken)
    if broken:
        # Nothing can be held against a book that is not there.
        return audit
    findings, now = yield from _confirmed(sorted(reading.odd | reading.leaseless), root)
    spent = sorted(reading.spent.keys() | reading.unreadable)
    drift = yield from _drifted(spent, Recounting.spent, root, told)
    held = sorted(reading.held.keys() | reading.unreadable)
    drift += yield from _drifted(held, Recounting.held, root, told)
    return replace(
        audit,
        drift=tuple(found for found in drift if found is not None),
        findings=(*reading.findings, *findings),
        expired=sum(ends <= now for ends in reading.ends),
        unproved=sum(found is None for found in drift),
    )


def _read(book: Book, reading: Reading, root: str, told: Told) -> Flow[None]:
    cursor = ""
    while True:
        leaf = yield from ask(Page(book, cursor, root=root))
        for row in leaf.rows:
            READERS[book](reading, row)
        told(book, len(leaf.rows))
        cursor = leaf.cursor
        if not cursor or book == "due":
            return


def _confirmed(ids: list[str], root: str) -> Flow[tuple[list[Finding], int]]:
    """What is wrong with these holds and leases at one moment; and the store's time."""
    findings: list[Finding] = []
    seen = yield from ask(Recount(root=root))
    for some in _chunks(ids, STEPS):
        seen = yield from ask(Recount(ids=tuple(some), root=root))
        for id, (row, ends) in zip(some, seen.holds, strict=True):
            findings += _wrong(id, row, ends)
    return findings, seen.now


def _wrong(id: str, row: Row | None, ends: int | None) -> Iterator[Finding]:
    if row is not None and row.amounts is None:
        yield Finding("not a hold", "holds", id, row.text, Step("end", id, found=row.text))
    elif row is not None and row.kind == "open":
        if ends is None:
            yield Finding("a hold without a lease", "holds", id, row.text, Step("end", id, found=row.text))
    elif ends is not None:
        yield Finding("a lease without a hold", "leases", id, str(ends), Step("unlease", id))


@dataclass(frozen=True, slots=True)
class Recounting:
    """A counter at one moment, and what the journal charged it until then."""

    counter: str
    figures: Figures
    charged: int
    seen: Recounted

    def spent(self) -> Iterator[Drift | None]:
        """What is wrong with what it says was spent."""
        figures, base = self.figures, amount(self.figures.base)
        found = amount(figures.spent)
        if base is None:
            base = max(0, (found or 0) - self.charged)
            yield Drift(self.counter, "base", base, figures.base or "")
        if found is None or (found != self._total(base) and not 0 < figures.purge <= self.seen.now):
            # One past its time may have been forgotten, and made anew by a late charge.
            kept = figures.spent or "" if found is None else found
            yield Drift(self.counter, "spent", self._total(base), kept, figures.purge)

    def _total(self, base: int) -> int:
        return min(base + self.charged, LARGEST)

    def held(self) -> Iterator[Drift | None]:
        """What is wrong with what it says is held; None where that cannot be told."""
        found, expected = amount(self.figures.held), min(self.figures.open, LARGEST)
        if not self.seen.whole:
            yield None
        elif found is None or found != expected:
            kept = self.figures.held or "" if found is None else found
            yield Drift(self.counter, "held", expected, kept, self.figures.purge)


def _drifted(
    suspects: list[str], judge: Callable[[Recounting], Iterator[Drift | None]], root: str, told: Told
) -> Flow[list[Drift | None]]:
    found: list[Drift | None] = []
    for some in _chunks(suspects, SUSPECTS):
        seen = yield from ask(Recount(tuple(some), root=root))
        charged = dict.fromkeys(some, 0)
        if judge is Recounting.spent:
            yield from _charged(charged, seen, root, told)
        for name, figures in zip(some, seen.figures, strict=True):
            found += judge(Recounting(name, figures, charged[name], seen))
    return found


def _charged(sums: dict[str, int], seen: Recounted, root: str, told: Told) -> Flow[None]:
    """Adds what the journal charged these counters up to the moment they were seen at."""
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


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
