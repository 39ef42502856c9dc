"""The live corrector on recorded traffic, in arrival order: `python tests/bench/lesson.py TRAFFIC [--spoil 1.3]`.

Every row is weighed as a worker would, then settled with its recorded bill; what that teaches goes through
a store after every `--lag` rows.  `--spoil` multiplies the built-in estimates and their bounds first, as if
the shipped coefficients were wrong by so much.  "after 20" leaves out a family's first 20 settlements,
"after 5 of a model" the first 5 of each host and model; the rest is what is promised about.
With `--poison`, one row in so many is billed an absurd amount, and figures are held against those without.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from weighbridge import wiring
from weighbridge.adapters.cli import traffic
from weighbridge.adapters.cli.accuracy import COLUMNS, figures
from weighbridge.core.accuracy import Score, accuracy
from weighbridge.core.counting.learner import Learner
from weighbridge.core.counting.lesson import Seen, Topic, apply, believable, topic_of
from weighbridge.core.lessons import Learn, Note
from weighbridge.core.model import Call, Estimate
from weighbridge.ledger.memory import MemoryStore
from weighbridge.settings import load

AFTER: Final = (0, 1, 3, 5, 20)
"""Settlements of a host and model left out."""
SETTLED: Final = 100
"""Settlements of a model after which a spoiled start must be forgotten."""
FIRST: Final = 20
ABSURD: Final = (1000.0, 0.001, 5.0, 0.2, 50.0)
"""What poisoned bills are multiplied by, in turn."""


@dataclass(frozen=True, slots=True)
class Row:
    """A recorded call, weighed without any lesson."""

    id: str
    call: Call
    topic: Topic
    kind: str
    counted: Estimate
    billed: int

    @property
    def family(self) -> str:
        """As tables name it."""
        return self.topic.family

    @property
    def model(self) -> tuple[str, str]:
        """Host and model."""
        return self.topic.host, self.topic.model


@dataclass(frozen=True, slots=True)
class Told:
    """A row with its lesson."""

    row: Row
    score: Score
    level: int
    of_family: int
    """Settlements of its family before it."""
    of_model: int


def rows(path: Path, spoil: float) -> Iterator[Row]:
    """The countable rows of a file."""
    desk = replace(wiring.scale(load(None)), provider_of=lambda call: "")
    for exchange, weighed in traffic.countable(traffic.rows(path, desk), traffic.Tally()):
        host = desk.hosts.get(weighed.provider, weighed.provider)
        topic = topic_of(weighed.model.family, host, weighed.call)
        counted = spoiled(weighed.estimate, spoil)
        yield Row(exchange.id, weighed.call, topic, exchange.kind(weighed.call), counted, exchange.billed)


def spoiled(estimate: Estimate, factor: float) -> Estimate:
    """An estimate whose rules are wrong by a factor."""
    upper = round((estimate.upper - estimate.unseen) * factor) + estimate.unseen
    return replace(estimate, tokens=round(estimate.tokens * factor), upper=upper)


def taught(found: Sequence[Row], lag: int, bill: Callable[[int, Row], int]) -> Iterator[Told]:
    """The rows in order, each with what those before it taught."""
    store, learner, pending = MemoryStore(lambda: 0), Learner(), list[Note]()
    families: defaultdict[str, int] = defaultdict(int)
    models: defaultdict[tuple[str, str], int] = defaultdict(int)
    for n, row in enumerate(found):
        estimate, basis = apply(learner.line(row.topic), row.topic, row.call, row.counted)
        level = learner.line(row.topic).level
        score = Score(row.family, row.kind, estimate, row.billed)
        yield Told(row, score, level, families[row.family], models[row.model])
        families[row.family] += 1
        models[row.model] += 1
        billed = bill(n, row)
        if basis is not None and believable(basis.tokens, billed):
            seen = Seen(f"{n}", basis.tokens, basis.width, billed, basis.predicted, basis.level)
            pending.append(Note(row.topic.name, seen.word))
            learner.hear(row.topic.name, seen)
        if len(pending) >= lag:
            learner.take(store.run(Learn(tuple(pending), learner.version)))
            pending.clear()


def honest(n: int, row: Row) -> int:
    """The recorded bill."""
    return row.billed


def poisoned(every: int) -> Callable[[int, Row], int]:
    """One bill in `every` is absurd."""
    return lambda n, row: round(row.billed * ABSURD[n // every % len(ABSURD)]) if n % every == 0 else row.billed


def main() -> None:
    """Weigh, teach, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traffic", type=Path)
    parser.add_argument("--spoil", type=float, default=1.0)
    parser.add_argument("--lag", type=int, default=1, help="settlements told to the store at once")
    parser.add_argument("--poison", type=int, default=0, metavar="N", help="every Nth bill is absurd")
    parser.add_argument("--misses", action="store_true", help="name the bills above their bound")
    given = parser.parse_args()
    found = list(rows(given.traffic, given.spoil))
    told = list(taught(found, given.lag, honest))
    print(f"{__doc__}\nspoil {given.spoil:g}, told every {given.lag}\n")
    print(f"| {' | '.join(name.strip('>') for name in ('family', 'which', *COLUMNS[1:]))} |\n{'|---' * 10}|")
    for family in ("openai", "anthropic", "gemini", "other"):
        ours = [one for one in told if one.row.family == family]
        _line(family, "built in", [replace(one.score, estimate=one.row.counted) for one in ours[FIRST:]])
        _line(family, f"after {FIRST}", [one.score for one in ours[FIRST:]])
        for least in AFTER:
            _line(family, f"after {least} of a model", [one.score for one in ours if one.of_model >= least])
    _models(told)
    if given.misses:
        _misses(told)
    if given.poison:
        _poison(told, list(taught(found, given.lag, poisoned(given.poison))), given.poison)
    _costs(found)


def _line(family: str, which: str, scores: Sequence[Score]) -> None:
    if scores:
        line = accuracy(scores)
        print(f"| {' | '.join((family, which, str(line.n), *figures(line)))} |")


def _models(told: Sequence[Told]) -> None:
    models: defaultdict[tuple[str, str], list[Told]] = defaultdict(list)
    for one in told:
        models[one.row.model].append(one)
    for (host, model), ones in sorted(models.items(), key=lambda item: -len(item[1])):
        if len(ones) > SETTLED:
            _line(f"{host} {model}", f"after {SETTLED} of it", [one.score for one in ones[SETTLED:]])
    _line("all", f"after {SETTLED} of a model", [one.score for one in told if one.of_model >= SETTLED])
    _line("all", f"after {FIRST} of a model", [one.score for one in told if one.of_model >= FIRST])


def _misses(told: Sequence[Told]) -> None:
    for one in told:
        found = one.score.estimate
        if found.upper < one.row.billed:
            where = f"{' '.join(one.row.model)} ({one.row.kind}), number {one.of_model} of it, level {one.level}"
            print(f"above its bound: {where}: {found.tokens} to {found.upper}, billed {one.row.billed}")


def _poison(told: Sequence[Told], mad: Sequence[Told], every: int) -> None:
    """How far absurd bills move what is said of the others' calls."""
    for least in (1, 10, 32):
        pairs = [(a.score, b.score) for a, b in zip(told, mad, strict=True) if a.of_model >= least]
        moved = sorted(abs(b.estimate.tokens / max(1, a.estimate.tokens) - 1) for a, b in pairs)
        sums = [sum(s[i].estimate.tokens for s in pairs) for i in (0, 1)]
        uppers = [sum(s[i].estimate.upper for s in pairs) for i in (0, 1)]
        covered = [sum(s[i].estimate.upper >= s[i].billed for s in pairs) / len(pairs) for i in (0, 1)]
        print(
            f"one bill in {every} absurd, after {least} of a model ({len(pairs)} calls): estimates move by "
            f"{sums[1] / sums[0] - 1:+.2%} in sum, P95 {moved[int(0.95 * len(moved))]:.2%}; bounds by "
            f"{uppers[1] / uppers[0] - 1:+.2%} in sum; covered {covered[0]:.2%} and {covered[1]:.2%}"
        )


def _costs(found: Sequence[Row]) -> None:
    """What it costs a request, and what a refit costs behind it."""
    learner = Learner()
    store, notes = MemoryStore(lambda: 0), [
        Note(row.topic.name, Seen(f"{n}", row.counted.tokens, 9, row.billed, row.billed, 2).word)
        for n, row in enumerate(found)
    ]  # fmt: skip
    told = store.run(Learn(tuple(notes)))
    start = time.process_time()
    learner.take(told)
    heard = time.process_time()
    for topic in {row.topic for row in found}:
        learner.line(topic)
    drawn = time.process_time()
    topics = len({row.topic for row in found})
    print(f"hearing {len(told.records)} topics {1e3 * (heard - start):.1f} ms; ", end="")
    print(f"drawing a line {1e6 * (drawn - heard) / topics:.0f} us, mean of {topics}")
    start = time.process_time()
    for row in found:
        topic = topic_of(row.topic.family, row.topic.host, row.call)
        apply(learner.line(topic), topic, row.call, row.counted)
    print(f"on the path of a request {1e6 * (time.process_time() - start) / len(found):.1f} us, mean of {len(found)}")


if __name__ == "__main__":
    main()
