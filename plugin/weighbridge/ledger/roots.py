"""A verb over several roots: which parts go to which, in which order, and what they answer together.

On a cluster one script sees one slot, so counters live in 64 slots, by the organisation (or else the
team) they are for, and those for neither in the general one.  A verb becomes batches of parts:

    spread(verb) -> [(part, root), ...] -> (a store runs each) -> [answer, ...]   and so on, then the answer

    reserve   one root after the other, the general one last; where one is short, the earlier are voided
    settle    the root with the journal's entry first: the journal is the truth; then the others
    the rest  all parts at once

A crash between two parts leaves nothing wrong for ever: holds expire with their lease, and what a
journal entry says and its counters lack is what an audit mends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from zlib import crc32

from weighbridge.core import books
from weighbridge.core.errors import StoreError
from weighbridge.core.grant import decide
from weighbridge.core.history import Recall
from weighbridge.core.ledger import (
    Charge,
    Counter,
    Counters,
    Ended,
    Entries,
    Extend,
    Granted,
    Moved,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    Settled,
    Short,
    State,
    Verb,
)
from weighbridge.ledger.journals import merged

MANY = 64
GENERAL = "0"
"""The root of counters for everybody, and of everything on a single node."""
ALL = tuple(map(str, range(MANY)))
REMEMBERED = 50_000
"""Calls whose roots are remembered; the others' are looked for in all."""

Parts = list[tuple[Verb[Any], str]]
Spread = Generator[Parts, list[Any], Any]


@dataclass(frozen=True, slots=True)
class Void(Verb[bool]):
    """Undo a reservation that another root had no room for, as if it had never been asked."""

    id: str
    now: int | None = None


@dataclass(frozen=True, slots=True)
class Share(Settle):
    """A root's part of a settlement, with the journal's entry of the whole."""

    whole: tuple[Charge, ...] = ()


@lru_cache(maxsize=65536)
def root_of(counter: Counter) -> str:
    """The root a counter lives in."""
    scope = dict(counter.scope)
    return str(crc32((scope.get("org") or scope.get("team") or "").encode()) % MANY)


def _places(counters: Iterable[Counter]) -> dict[str, list[int]]:
    """Where the counters are: indexes by root, in the order roots are asked."""
    found: dict[str, list[int]] = {}
    for index, counter in enumerate(counters):
        found.setdefault(root_of(counter), []).append(index)
    return dict(sorted(found.items(), key=lambda item: (item[0] == GENERAL, int(item[0])))) or {GENERAL: []}


def _in_order(places: Mapping[str, list[int]], answers: Iterable[tuple[State, ...]]) -> tuple[State, ...]:
    """States by root, put back in the order asked."""
    found = {
        index: state
        for indexes, states in zip(places.values(), answers, strict=False)
        for index, state in zip(indexes, states, strict=False)
    }
    return tuple(found[index] for index in sorted(found))


class Roots:
    """Spreads verbs over 64 roots.  It remembers where a call holds, as its release does not say;
    what it does not remember is asked of every root."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, ...]] = {}

    def spread(self, verb: Verb[Any]) -> Spread:
        """The parts of a verb, and its answer in the end."""
        row = SPREADS.get(type(verb))
        return _whole(verb) if row is None else row(self, verb)

    def _remember(self, id: str, roots: Iterable[str]) -> None:
        # A call that is asked for again may have other counters: all of them are released in the end.
        self._held[id] = tuple(dict.fromkeys((*self._held.pop(id, ()), *roots)))
        while len(self._held) > REMEMBERED:
            with suppress(KeyError, RuntimeError, StopIteration):
                # Another thread may be here as well.
                self._held.pop(next(iter(self._held)))

    def _reserve(self, verb: Reserve) -> Spread:
        places = _places(hold.counter for hold in verb.holds)
        self._remember(verb.id, places)
        asked: list[str] = []
        granted: list[Granted] = []
        want = verb.want
        try:
            for root, indexes in places.items():
                asked.append(root)
                part = replace(verb, holds=tuple(verb.holds[i] for i in indexes), want=want)
                [answer] = yield [(part, root)]
                if not isinstance(answer, Granted):
                    break
                granted.append(answer)
                # What one root clamped, the next need not hold.
                want = min(want, max(answer.units, verb.least))
            else:
                return _granted(places, granted)
        except StoreError:
            with suppress(StoreError):
                yield _voids(verb, asked)
            raise
        yield _voids(verb, asked[:-1])
        if isinstance(answer, Moved):
            return answer
        return (yield from self._short(verb, places, asked[-1], answer))

    def _short(self, verb: Reserve, places: Mapping[str, list[int]], root: str, short: Short) -> Spread:
        """Every counter of a call that one root had no room for."""
        together = yield from self._seen(verb, places, root, short)
        seen = decide(verb, together, short.now)
        if isinstance(seen, Short):
            return seen
        # Room was made meanwhile: the refusal stands for what it saw.
        return replace(short, states=together, lacking=tuple(places[root][i] for i in short.lacking))

    def _seen(self, verb: Reserve | Extend, places: Mapping[str, list[int]], root: str, short: Short) -> Spread:
        """Every counter of a call as it stands; one root has told already."""
        others = [other for other in places if other != root]
        peeks: Parts = [(Peek(tuple(verb.holds[i].counter for i in places[other])), other) for other in others]
        states = dict(zip(others, (yield peeks) if peeks else (), strict=True)) | {root: short.states}
        return _in_order(places, (states[other] for other in places))

    def _extend(self, verb: Extend) -> Spread:
        places = _places(hold.counter for hold in verb.holds)
        granted: list[Granted] = []
        units = verb.units
        for root, indexes in places.items():
            part = replace(verb, holds=tuple(verb.holds[i] for i in indexes), units=units)
            [answer] = yield [(part, root)]
            if isinstance(answer, Ended):
                return answer
            if isinstance(answer, Short):
                states = yield from self._seen(verb, places, root, answer)
                return replace(answer, states=states, lacking=tuple(indexes[i] for i in answer.lacking))
            granted.append(answer)
            units = min(units, answer.covered)
        return _granted(places, granted)

    def _settle(self, verb: Settle) -> Spread:
        places = _places(charge.counter for charge in verb.charges)
        first = next(iter(places))
        parts = {root: _share(verb, places.get(root, ()), root == first) for root in (*places, *self._roots(verb.id))}
        [one] = yield [(parts.pop(first), first)]
        others: list[Settled] = (yield [(part, root) for root, part in parts.items()]) if parts else []
        answers = dict(zip((first, *parts), (one, *others), strict=True))
        outcomes = {answer.outcome for answer in answers.values()}
        states = _in_order(places, (answers[root].states for root in places))
        whole = len(states) == len(verb.charges)
        for outcome in ("settled", "late"):
            if outcome in outcomes:
                return Settled(outcome, one.now, states if whole else ())
        return one

    def _roots(self, id: str) -> tuple[str, ...]:
        return self._held.get(id, ALL)

    def _renew(self, verb: Renew) -> Spread:
        held = self._held.get(verb.id)
        answers = yield [(verb, root) for root in held or ALL]
        return all(answers) if held else any(answers)

    def _peek(self, verb: Peek) -> Spread:
        places = _places(verb.counters)
        parts: Parts = [(Peek(tuple(verb.counters[i] for i in indexes)), root) for root, indexes in places.items()]
        return _in_order(places, (yield parts))

    def _recall(self, verb: Recall) -> Spread:
        places = _places(hold.counter for hold in verb.holds)
        parts: Parts = [(Recall(tuple(verb.holds[i] for i in indexes)), root) for root, indexes in places.items()]
        return {name: output for answer in (yield parts) for name, output in answer.items()}

    def _all(self, verb: books.Roots) -> Spread:
        yield from ()
        return ALL

    def _counters(self, verb: Counters) -> Spread:
        found: dict[Counter, State] = {}
        for answer in (yield [(verb, root) for root in ALL]):
            for counter, state in answer:
                # A journal's own root may keep something of counters that live elsewhere.
                was = found.get(counter, State(0, 0))
                found[counter] = State(was.spent + state.spent, was.held + state.held)
        return tuple(sorted(found.items(), key=lambda item: item[0].field))

    def _open_holds(self, verb: OpenHolds) -> Spread:
        ends: dict[str, int] = {}
        for answer in (yield [(verb, root) for root in ALL]):
            for id, at in answer:
                ends[id] = min(at, ends.get(id, at))
        return tuple(sorted(ends.items(), key=lambda item: (item[1], item[0])))

    def _entries(self, verb: Entries) -> Spread:
        return (yield from merged(verb, ALL))


def _whole(verb: Verb[Any]) -> Spread:
    """Documents are in a slot of their own, and pages say whose they are."""
    [answer] = yield [(verb, GENERAL)]
    return answer


def _voids(verb: Reserve, roots: list[str]) -> Parts:
    return [(Void(verb.id, verb.now), root) for root in roots]


def _share(verb: Settle, indexes: Iterable[int], first: bool) -> Share:
    charges = tuple(verb.charges[i] for i in indexes)
    entry = verb.entry if first else None
    return Share(verb.id, charges, entry, verb.now, verb.output, verb.histories, verb.charges)


def _granted(places: Mapping[str, list[int]], answers: list[Granted]) -> Granted:
    units = min(answer.units for answer in answers)
    covered = min(units, *(answer.covered for answer in answers))
    states = _in_order(places, (answer.states for answer in answers))
    return Granted(units, states, max(answer.now for answer in answers), covered)


SPREADS: Mapping[type, Callable[[Roots, Any], Spread]] = {
    Reserve: Roots._reserve,
    Extend: Roots._extend,
    Settle: Roots._settle,
    Renew: Roots._renew,
    Peek: Roots._peek,
    Recall: Roots._recall,
    Counters: Roots._counters,
    OpenHolds: Roots._open_holds,
    Entries: Roots._entries,
    books.Roots: Roots._all,
}
"""Verbs of money.  All others are about documents, or name the root they are for."""
