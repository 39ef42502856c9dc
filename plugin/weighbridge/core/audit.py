"""Proof that the books agree, and what puts them right where they do not.

    held = what the open holds add up to        spent = base + what the journal charged

A flow (`core.flow`) in two looks.  First every book is read page by page, while calls go on: what does
not agree then is suspect.  Suspects are counted again at one moment (`Recount`, and the journal up to
that moment), so that traffic is never taken for drift.  Repair adds the difference, and what cannot
be read is taken out and kept aside.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from weighbridge.core.books import BOOKS, Book, Mend, Page, Roots, Step
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.findings import READERS, Drift, Finding, Reading
from weighbridge.core.flow import Flow, ask
from weighbridge.core.recounting import STEPS, Recounting, Told, chunks, confirmed, drifted

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


def auditing(*, repair: bool = False, told: Told = lambda book, rows: None) -> Flow[Audit]:
    """Look at the books; with `repair`, mend what is found and answer what that was."""
    roots = yield from ask(Roots())
    first = found = yield from _look(roots, told)
    if not repair:
        return first
    findings, taken = list[Finding](), list[bool]()
    for _ in range(ROUNDS):
        if not found.findings:
            break
        findings += [finding for finding in found.findings if finding not in findings]
        taken += yield from _take([(finding.root, finding.step) for finding in found.findings])
        found = yield from _look(roots, told)
    lost = any(finding.book == "journal" for finding in findings)
    taken += yield from _take([(drift.root, _correction(drift, lost)) for drift in found.drift])
    done = sum(taken)
    told_of = first.drift or found.drift
    return replace(found, drift=told_of, findings=tuple(findings), mended=done, failed=len(taken) - done)


def _take(steps: list[tuple[str, Step]]) -> Flow[list[bool]]:
    taken: list[bool] = []
    for root in sorted({root for root, _ in steps}):
        for some in chunks((step for at, step in steps if at == root), STEPS):
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


def _look(roots: tuple[str, ...], told: Told) -> Flow[Audit]:
    reading = Reading()
    for book in BOOKS:
        for root in roots:
            reading.root = root
            try:
                yield from _read(book, reading, told)
            except StoreCorrupt as error:
                reading.find("not of the ledger's type", book, "", str(error), Step("remove", book))
    broken = tuple(finding for finding in reading.findings if finding.step.way == "remove")
    audit = Audit(reading.counters, reading.holds, reading.entries, findings=broken)
    if broken:
        # Nothing can be held against a book that is not there.
        return audit
    findings, now = yield from confirmed(reading.odd | reading.leaseless, roots)
    spent = sorted(reading.spent.keys() | reading.unreadable)
    drift = yield from drifted(spent, Recounting.spent, roots, told)
    held = sorted(reading.held.keys() | reading.unreadable)
    drift += yield from drifted(held, Recounting.held, roots, told)
    return replace(
        audit,
        drift=tuple(found for found in drift if found is not None),
        findings=(*reading.findings, *findings),
        expired=sum(ends <= now for ends in reading.ends),
        unproved=sum(found is None for found in drift),
    )


def _read(book: Book, reading: Reading, told: Told) -> Flow[None]:
    cursor = ""
    while True:
        leaf = yield from ask(Page(book, cursor, root=reading.root))
        for row in leaf.rows:
            READERS[book](reading, row)
        told(book, len(leaf.rows))
        cursor = leaf.cursor
        if not cursor or book == "due":
            return
