"""What the pages of the books say, added up as they come.

A million counters that agree take no room: sums that come to nothing are forgotten.  What is left in
the end is suspect, no more: the pages are not of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from weighbridge.core.books import ROOT, Book, Number, Row, Step


@dataclass(frozen=True, slots=True)
class Drift:
    """A number that is not what it must be."""

    counter: str
    """The counter's field."""
    number: Number
    expected: int
    found: int | str
    """A text where it cannot be read."""
    purge: int = 0
    root: str = ROOT


@dataclass(frozen=True, slots=True)
class Finding:
    """A record that should not be."""

    what: str
    book: Book
    name: str
    found: str
    step: Step
    """What mends it."""
    root: str = ROOT


@dataclass(slots=True)
class Reading:
    """What the pages said, of all roots together."""

    root: str = ROOT
    """Whose pages are being read."""
    spent: dict[str, int] = field(default_factory=dict)
    """Counter -> what it has above its journal and base; those that agree are not in it."""
    held: dict[str, int] = field(default_factory=dict)
    """Counter -> what it has above its open holds."""
    unreadable: set[str] = field(default_factory=set)
    """Counters with a number that is none."""
    leaseless: set[tuple[str, str]] = field(default_factory=set)
    """Open holds, root and id, whose lease has not been seen."""
    odd: set[tuple[str, str]] = field(default_factory=set)
    """Holds that cannot be read, and of leases whose hold was not seen."""
    ends: list[int] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counters: int = 0
    holds: int = 0
    entries: int = 0

    def find(self, what: str, book: Book, name: str, text: str, step: Step) -> None:
        """A record that should not be."""
        self.findings.append(Finding(what, book, name, text, step, self.root))

    def line(self, row: Row) -> None:
        """A journal entry."""
        self.entries += 1
        if row.amounts is None:
            step = Step("strike", row.name, found=row.text)
            self.find("not a journal entry", "journal", row.name, row.text, step)
        for name, charged in row.amounts or ():
            _off(self.spent, name, -charged)

    def hold(self, row: Row) -> None:
        """A hold, open or not."""
        if row.amounts is None:
            self.odd.add((self.root, row.name))
        elif row.kind == "open":
            self.holds += (self.root, row.name) not in self.leaseless
            self.leaseless.add((self.root, row.name))
            for name, held in row.amounts:
                _off(self.held, name, -held)

    def lease(self, row: Row) -> None:
        """A lease."""
        if row.amounts is None or (self.root, row.name) not in self.leaseless:
            self.odd.add((self.root, row.name))
            return
        self.leaseless.discard((self.root, row.name))
        self.ends.append(row.amounts[0][1])

    def counter(self, row: Row) -> None:
        """One number of a counter."""
        self.counters += row.kind == "spent"
        if not row.kind:
            step = Step("drop", row.name, found=row.text)
            self.find("not a counter", "counters", row.name, row.text, step)
        elif row.amounts is None:
            self.unreadable.add(row.name[2:])
        for name, value in row.amounts or ():
            _off(self.held if row.kind == "held" else self.spent, name, -value if row.kind == "base" else value)

    def due(self, row: Row) -> None:
        """When something may be forgotten: nothing to agree with."""


READERS: Final[Mapping[Book, Callable[[Reading, Row], None]]] = {
    "journal": Reading.line,
    "holds": Reading.hold,
    "leases": Reading.lease,
    "counters": Reading.counter,
    "due": Reading.due,
}


def _off(sums: dict[str, int], name: str, change: int) -> None:
    """Adds; what comes to nothing is forgotten, so that a million counters that agree take no room."""
    total = sums.get(name, 0) + change
    if total:
        sums[name] = total
    else:
        sums.pop(name, None)
