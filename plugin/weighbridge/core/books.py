"""What an audit asks of a store: its records as they are, page by page, and steps that mend them.

Other verbs refuse a record the ledger never wrote.  These tell it: a row whose text cannot be read
has no amounts.  A page is not of one moment, so what seems wrong on pages is looked at again, all
at once, by `Recount`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from weighbridge.core.ledger import LARGEST, Verb

Book = Literal["counters", "holds", "leases", "due", "journal"]
BOOKS: tuple[Book, ...] = ("journal", "holds", "leases", "counters", "due")
ROOT = "0"
"""The root of everything on a single node."""
Amounts = tuple[tuple[str, int], ...]
"""(counter field, amount) pairs."""
Number = Literal["spent", "held", "base"]
"""What is kept of a counter; `base`: charges whose entries the journal has let go."""


def amount(text: str | None) -> int | None:
    """A number the ledger could have written (0 where there is none), or None."""
    if text is None:
        return 0
    sound = text.isascii() and text.isdigit() and len(text) <= 16
    return int(text) if sound and int(text) <= LARGEST else None


@dataclass(frozen=True, slots=True)
class Row:
    """One record."""

    name: str
    """A counter's field, a hold's id (leases too), or an entry's place in the journal."""
    text: str
    """As kept."""
    kind: str = ""
    """Of a counter "spent", "held" or "base", or a "history"; of a hold "open", "ended" or "expired"."""
    amounts: Amounts | None = None
    """What the record says; None where it cannot be read.  A lease: (("", when it ends),)."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A page of a book."""

    rows: tuple[Row, ...]
    """A row may come again on a later page, where a book changed meanwhile."""
    cursor: str
    """Where the next page begins; "" behind the last."""


@dataclass(frozen=True, slots=True)
class Roots(Verb["tuple[str, ...]"]):
    """The roots the store's books are kept under: one on a single node, many on a cluster."""


@dataclass(frozen=True, slots=True)
class Page(Verb[Leaf]):
    """Records of a book as they are.  Those that are there from the first page to the last are all
    told; the journal is told from its oldest entry on."""

    book: Book
    cursor: str = ""
    most: int = 2000
    """About so many rows."""
    root: str = ROOT


@dataclass(frozen=True, slots=True)
class Figures:
    """A counter, and what its open holds add up to, at one moment."""

    spent: str | None
    """As kept; None: not there.  The others alike."""
    held: str | None
    base: str | None
    open: int
    """Sum of the open holds' amounts."""
    purge: int
    """When it may be forgotten (milliseconds); 0: never."""


@dataclass(frozen=True, slots=True)
class Recounted:
    """Counters and holds at one moment, and the journal they must agree with."""

    now: int
    figures: tuple[Figures, ...]
    """In the order asked."""
    holds: tuple[tuple[Row | None, int | None], ...]
    """Each hold with the end of its lease, in the order asked; None for what is not there."""
    head: tuple[Row, ...]
    """The journal's oldest entries, so that none is missed that falls off meanwhile."""
    last: str
    """The journal's newest entry; "" where it is empty."""
    whole: bool
    """False: more holds are open than can be added up in one step; `open` says nothing then."""


@dataclass(frozen=True, slots=True)
class Recount(Verb[Recounted]):
    """Look at counters and holds again, all at the same moment."""

    fields: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    root: str = ROOT
    now: int | None = None
    """The clock, in tests only; None: the store's own."""


Way = Literal["add", "set", "drop", "end", "unlease", "strike", "remove"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to put right.  What is taken out is kept aside, to be looked at."""

    way: Way
    """add: add a signed amount to a counter's number, which stays between 0 and 2^53 - 1.
    set: give a counter's number that cannot be read a value.  drop: take out a number of no counter.
    end: end a hold that cannot be read or has no lease, giving back nothing (count again then).
    unlease: drop a lease without an open hold.  strike: take out a journal line.
    remove: take out a whole book that is of another type."""
    name: str
    """The row's name, the counter's field, or the book's name."""
    number: Number | Literal[""] = ""
    """Of a counter, which."""
    found: str = ""
    """The text it was seen with: set, drop and end do nothing where it is another now."""
    amount: int = 0
    purge: int = 0
    """When a counter that comes into being may be forgotten; 0: never."""


@dataclass(frozen=True, slots=True)
class Mend(Verb["tuple[bool, ...]"]):
    """Put records right, all in one step; answers for each whether it was done."""

    steps: tuple[Step, ...]
    root: str = ROOT
    now: int | None = None
