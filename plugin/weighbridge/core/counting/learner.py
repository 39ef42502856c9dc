"""All lessons together: lines by topic, what is borrowed from a topic's relatives, and the bounds.

Fed with what the store says has changed; a pure state, the same in every worker that heard the same.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import islice
from statistics import fmean, median, quantiles
from typing import Final

from weighbridge.core.counting.calibration import Calibration, Key, Line
from weighbridge.core.counting.drawing import line
from weighbridge.core.counting.lesson import Seen, Taught, Topic, base_of, named, seen
from weighbridge.core.lessons import KEPT, MOST_TOPICS, Learnt, Record

Scope = tuple[str | bool, ...]
SCOPES: Final = ((3, 3), (2, 8), (1, 16))
"""(how much of family, host and model is shared, calls it takes) of relatives, nearest first."""
RELATIVES: Final = 64
"""Calls remembered of a scope."""
SHORT: Final = 16
"""Of a shorter prompt the factor says little: its constant is most of the bill."""
SPREAD: Final = 1.1
"""Relatives are of one mind where the upper quartile of their factors is at most this times the lower."""
SAME: Final = 0.02
"""A factor nearer to 1 than this is 1."""
POOL: Final = 64
"""Topics a bound is read from: those heard of last."""
FEW: Final = 25
"""Fewer scores say nothing about bounds."""
MISSES: Final = 0.005
"""Share of scores a bound may leave above it."""
DOUBTED: Final = 0.1
"""Where at most this share of scores is above what was to be expected, bounds are drawn without them."""
CAUTION: Final = 20
"""The worst of n scores is not the worst there can be: it is taken for 1 + CAUTION / n of itself."""
LEVELS: Final = 4
EARLY: Final = 8
"""A worker's own bills are heard at once while fewer are known of their topic."""
MOST: Final = 2 * MOST_TOPICS
"""Topics kept in memory: then all is heard anew from the store, which has dropped the oldest."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is known of a topic, for people."""

    topic: Topic
    count: int
    """Bills ever."""
    line: Taught
    width: int
    """The usual distance of the built-in bound."""
    error: float
    """Median error of the newest bills against what was predicted before each, as a share of the bill."""
    coverage: float
    """Share of them that today's bounds would have covered."""


def calibration(lessons: Sequence[Lesson], below: Calibration, made: str) -> Calibration:
    """The lessons as a document's lines, each over the line of the calibration it was learnt with.  Of
    calls that differ in their tool choice only, those with most bills speak; what was learnt over
    another calibration says nothing."""
    lines: dict[Key, Line] = {}
    for lesson in lessons:
        key = lesson.topic.key
        base = below.lines.get(key)
        if lesson.topic.base == base_of(base) and key not in lines:
            lines[key] = lesson.line.onto(base or Line(), lesson.width)
    return Calibration(made, lines)


Scored = tuple[float, bool]
"""A score, and whether it was to be expected."""


class Learner:
    """What was learnt so far."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self.version = 0
        self._counts: dict[Topic, int] = {}
        self._rings: dict[Topic, tuple[Seen, ...]] = {}
        self._lines: dict[Topic, Taught] = {}
        self._drawn: dict[Topic, Taught] = {}
        """Lines of topics with bills, without their bounds."""
        self._scopes: defaultdict[Scope, deque[float]] = defaultdict(lambda: deque(maxlen=RELATIVES))
        self._pools: defaultdict[tuple[str, int], dict[Topic, tuple[Scored, ...]]] = defaultdict(dict)
        self._reaches: dict[tuple[str, int], float | None] = {}

    def line(self, topic: Topic) -> Taught:
        """The line of a topic, with its bound."""
        found = self._lines.get(topic)
        if found is None:
            if len(self._lines) > MOST:
                self._lines.clear()
            drawn = self._line(topic)
            found = self._lines[topic] = replace(drawn, reach=self._reach(topic.family, drawn.level))
        return found

    def take(self, learnt: Learnt) -> None:
        """Hear what changed, and draw the lines in use anew: requests find them ready."""
        if len(self._rings) > MOST:
            return self._begin()
        self.version = learnt.version
        used = set(self._lines)
        changed = [topic for name, record in learnt.records.items() if (topic := self._hear(name, record))]
        if changed:
            self._reaches.clear()
            self._lines.clear()
        for topic in used.intersection(changed):
            self.line(topic)

    def hear(self, name: str, told: Seen) -> None:
        """Take a bill of one's own before the store has it, where few are known: the first of a new model
        come together, and all would be as wrong."""
        topic = named(name)
        ring = self._rings.get(topic, ())
        if len(ring) < EARLY and all(s.id != told.id for s in ring):
            self._rings[topic] = (*ring, told)
            self._counts.setdefault(topic, 0)
            self._drawn.pop(topic, None)
            self._lines.pop(topic, None)

    def lessons(self) -> Sequence[Lesson]:
        """Every lesson, those with most bills first."""
        found = [self._lesson(topic, ring) for topic, ring in self._rings.items() if ring]
        return sorted(found, key=lambda lesson: (-lesson.count, lesson.topic))

    def _lesson(self, topic: Topic, ring: Sequence[Seen]) -> Lesson:
        covered = [s.billed - s.predicted <= self._above(topic.family, s) for s in ring]
        return Lesson(
            topic=topic,
            count=self._counts[topic],
            line=self.line(topic),
            width=round(median(s.width for s in ring)),
            error=median(abs(s.predicted - s.billed) / s.billed for s in ring),
            coverage=fmean(covered),
        )

    def _above(self, family: str, s: Seen) -> int:
        return Taught(reach=self._reach(family, s.level)).above(s.width)

    def _hear(self, name: str, record: Record) -> Topic | None:
        """The topic of a record, which is known now; None where it has no name of this version's."""
        try:
            topic = named(name)
        except ValueError:
            return None
        ring = tuple(seen(record.words))[-KEPT:]
        known = self._counts.get(topic, 0)
        fresh = record.count - known if known <= record.count else record.count
        self._counts[topic], self._rings[topic] = record.count, ring
        for s in ring[-fresh:] if fresh else ():
            if s.tokens >= SHORT:
                for scope, _ in _scopes(topic):
                    self._scopes[scope].append(s.billed / s.tokens)
        for level in range(LEVELS):
            scores = tuple((s.score, s.expected) for s in ring if s.level == level)
            pool = self._pools[topic.family, level]
            pool.pop(topic, None)
            if scores:
                pool[topic] = scores
        self._drawn.pop(topic, None)
        return topic

    def _line(self, topic: Topic) -> Taught:
        ring = self._rings.get(topic)
        if not ring:
            return line((), self._start(topic))
        found = self._drawn.get(topic)
        if found is None:
            found = self._drawn[topic] = line(ring, self._start(topic))
        return found

    def _start(self, topic: Topic) -> float:
        """The factor of a topic's nearest relatives that are enough and of one mind."""
        for scope, enough in _scopes(topic):
            factors = self._scopes.get(scope, ())
            if len(factors) >= enough:
                low, middle, high = quantiles(factors, method="inclusive")
                if high <= SPREAD * low:
                    return middle if abs(middle - 1) > SAME else 1.0
        return 1.0

    def _reach(self, family: str, level: int) -> float | None:
        """The reach of a level; where too little was seen of it, of it and those that knew less."""
        key = family, level
        if key not in self._reaches:
            own = reach(self._scores(family, level))
            below = [score for less in range(level + 1) for score in self._scores(family, less)]
            self._reaches[key] = reach(below) if own is None else own
        return self._reaches[key]

    def _scores(self, family: str, level: int) -> list[Scored]:
        pool = self._pools[family, level]
        return [score for scores in islice(reversed(pool.values()), POOL) for score in scores]


def _scopes(topic: Topic) -> Iterator[tuple[Scope, int]]:
    for shared, enough in SCOPES:
        yield topic[:shared], enough


def reach(scored: Sequence[Scored]) -> float | None:
    """What the next score stays under, 99 times of 100; None: nobody knows."""
    if len(scored) < FEW:
        return None
    scores = [score for score, expected in scored if expected]
    if len(scored) - len(scores) > DOUBTED * len(scored):
        scores = [score for score, _ in scored]
    worst = nlargest(1 + int(MISSES * len(scores)), scores)[-1]
    return max(0.0, worst) * (1 + CAUTION / len(scores))
