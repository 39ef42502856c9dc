"""The journals of several roots as one: merged by time, place in the journal, and root.

A cursor is "MS-SEQ@ROOT".  The nodes' clocks may differ, so an entry written now may be given a place
just behind the end of a page already read: read again from a second before where none may be missed.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from weighbridge.core.ledger import Entries, Entry, Verb

Parts = list[tuple[Verb[Any], str]]
LAST_COUNT = 2**64 - 1
FEW = 64
"""Entries asked of each root at a time, at least."""


@dataclass(slots=True)
class Tail:
    """What is still to be read of one root's journal."""

    root: str
    next: Entries
    read: list[Entry] = field(default_factory=list)
    """Entries read and not yet handed on, the oldest last."""
    over: bool = False

    def filled(self, page: Sequence[Entry]) -> None:
        self.over = len(page) < self.next.most
        self.read = list(reversed(page))
        if page:
            self.next = replace(self.next, after=page[-1].cursor)

    def place(self) -> tuple[int, int, int]:
        """The place of its oldest entry."""
        at, _, count = self.read[-1].cursor.partition("-")
        return int(at), int(count), int(self.root)


def merged(verb: Entries, roots: Sequence[str]) -> Generator[Parts, list[Any], tuple[Entry, ...]]:
    """A page of all roots' journals."""
    few = min(verb.most, max(FEW, 2 * verb.most // len(roots)))
    tails = [Tail(root, replace(verb, after=_behind(verb.after, root), most=few)) for root in roots]
    yield from _read(tails)
    heap = [(tail.place(), tail) for tail in tails if tail.read]
    heapq.heapify(heap)
    page: list[Entry] = []
    while heap and len(page) < verb.most:
        _, tail = heapq.heappop(heap)
        entry = tail.read.pop()
        page.append(replace(entry, cursor=f"{entry.cursor}@{tail.root}"))
        if not tail.read and not tail.over:
            yield from _read([tail])
        if tail.read:
            heapq.heappush(heap, (tail.place(), tail))
    return tuple(page)


def _read(tails: list[Tail]) -> Generator[Parts, list[Any], None]:
    pages = yield [(tail.next, tail.root) for tail in tails]
    for tail, page in zip(tails, pages, strict=True):
        tail.filled(page)


def _behind(cursor: str, root: str) -> str:
    """Where one root's journal goes on behind a cursor that another root's entry may have."""
    place, _, last = cursor.partition("@")
    if not place or int(root) <= int(last):
        return place
    at, _, count = place.partition("-")
    if int(count):
        return f"{at}-{int(count) - 1}"
    return f"{max(int(at) - 1, 0)}-{LAST_COUNT}"
