"""Estimates on recordings held out from fitting: `python tests/bench/heldout.py TRAFFIC [--folds 5] [--rows OUT]`.

The recordings are split by their source (repository and cassette).  For each fold the fitted numbers of
`core/counting/data` are fitted again on the other folds, from the round numbers in FITTED, and so are the
bounds; the fold is then scored with both.  What one bill was enough to read off is a rule and no number: the
shape of tools and schemas, frames, image geometry, what is billed at all.  Rules were found with all recordings
in view and cannot be held out.  OpenAI's are all of that kind, and its bounds are the shipped margins.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from zlib import crc32

from targets import STUDY

from weighbridge import wiring
from weighbridge.adapters.cli import traffic
from weighbridge.adapters.cli.accuracy import figures
from weighbridge.core.accuracy import ALL, Score, table
from weighbridge.core.admission import Weighed
from weighbridge.core.counting import FAMILIES, OTHER, anthropic, bare, gemini, kind_of, other, rules_of
from weighbridge.core.counting.data.bounds import BOUNDS, Bound
from weighbridge.core.counting.scale import Scale
from weighbridge.core.exchanges import Exchange
from weighbridge.core.model import Estimate, Model
from weighbridge.desk import Scale as Desk
from weighbridge.settings import load

STEP: Final = 1000.0
"""A number is moved by this much to see what it weighs: estimates are rounded, and their sums are straight."""
PRIOR: Final = 0.005
"""What a start is worth against bills: it holds where hardly any bill says something."""
ROUNDS: Final = 100
ODD: Final = 0.005
"""Errors under this share of a bill are alike."""
FITTED: Final[Mapping[str, Mapping[str, float]]] = {
    "anthropic": {
        "tool": 1.0, "each": 0, "calls": 0, "call": 50, "argument": 10, "message": 3, "thinking": 25, "adaptive": 0,
        "image": 0, "page": 1600, "SCHEMA": 100, "SCHEMA_BESIDE_TOOLS": 0, "THOUGHT": 0,
        "TEXT_DOCUMENT": 30, "NAMED_DOCUMENT": 0, "FILE_IN_RESULT": 0,
    },
    "gemini": {
        "block": 0, "vertex": 0, "function": 10, "name": 1, "strings": 1, "parameters": 0, "property": 10,
        "container": 0, "unsigned": 0, "call": 0, "call_token": 1, "result_token": 1, "signature": 0.2,
    },
    "other": {
        "frame": 3, "message": 3, "first_tool": 45, "each": 0, "tool": 1, "call": 30, "pixel": 0.00135, "page": 30,
        "page_text": 1, "image": 0, "tile": 0, "schema": 1, "thought": 1,
    },
}  # fmt: skip
"""Family -> its fitted numbers (fields of its rules; in capitals, names of its data), each with the round one a
fit begins from.  What the data has at about 0, or as a factor of 1, is a rule and stays."""
NOTHING: Final = 0.03
MODULES: Final[Mapping[str, ModuleType]] = {"anthropic": anthropic, "gemini": gemini, "other": other}

WIDER: Final = {"anthropic": (0.05, 14), "gemini": (0.09, 24), "other": (0.18, 50)}
"""Family -> what its bounds are widened by over the tightest that cover their class: (factor, tokens)."""
NEW: Final = "other, new"
"""Calls to a host, or with content there, that no other fold has: they are counted with starts."""
FEW: Final = 12
"""A class with fewer rows has its family's bound."""
CONSTANTS: Final = (0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)


@dataclass(slots=True)
class Sample:
    """One recorded call, and what each fitted number moves in its estimate."""

    id: str
    fold: int
    family: str
    kind: str
    billed: int
    tokens: float
    cls: tuple[str, str]
    """(counting rules, class) of its bound."""
    unseen: int
    slopes: dict[tuple[str, str], float] = field(default_factory=dict)
    """(group of rules, number) -> tokens a unit."""
    shipped: dict[tuple[str, str], float] = field(default_factory=dict)
    """The same numbers as they stand in the data."""


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts a call of which everything but the numbers is settled."""

    desk: Desk
    weighed: Weighed
    host: str

    def count(self) -> Scale:
        """The scale with the call on it."""
        model, call = self.weighed.model, self.weighed.call
        family = FAMILIES.get(model.family, OTHER)
        weights = None if bare.fits(call) else family.weights(model)
        scale = Scale(self.desk.tokenizer(model.tokenizer), None, weights, self.desk.reader, self.host)
        if bare.fits(call):
            bare.count(call, scale)
        else:
            family.count(call, model, scale)
        return scale

    def tokens(self) -> int:
        """What it weighs."""
        parts = self.count().parts()
        return parts.messages + parts.system + parts.tools + parts.media + parts.schema + parts.frame


def samples(path: Path, folds: int) -> Iterator[Sample]:
    """The countable rows of a file."""
    desk = replace(wiring.scale(load(None)), provider_of=lambda call: "")
    for exchange, weighed in traffic.countable(traffic.rows(path, desk), traffic.Tally()):
        counter = Counter(desk, weighed, desk.hosts.get(exchange.where, exchange.where))
        yield _sample(exchange, weighed, counter, folds)


def _sample(exchange: Exchange, weighed: Weighed, counter: Counter, folds: int) -> Sample:
    call, model, scale = weighed.call, weighed.model, counter.count()
    plain = bare.fits(call)
    rules, kind = rules_of(call, model, counter.host), exchange.kind(call)
    found = Sample(
        id=exchange.id,
        fold=crc32(exchange.source.encode()) % folds,
        family=model.family if call.generates else "embeddings",
        kind=f"{kind} (responses)" if (rules, kind) == ("openai-responses", "tools") else kind,
        billed=exchange.billed,
        tokens=counter.tokens(),
        cls=(rules, kind_of(scale)),
        unseen=sum(most for _, most in scale.unseen),
    )
    family = model.family if model.family in MODULES else "other"
    if not plain and model.family != "openai":
        for name, start in FITTED[family].items():
            _slope(found, name, start, family, counter, model)
    return found


def _slope(sample: Sample, name: str, start: float, family: str, counter: Counter, model: Model) -> None:
    module = MODULES[family]
    data: Any = module.data  # type: ignore[attr-defined]
    if name.isupper():
        group, value = family, getattr(data, name)
        changed = {name: value + STEP}
    else:
        rules = other.rules_for(model, counter.host) if family == "other" else module.rules_for(model.name)
        value = getattr(rules, name)
        group = _group(family, rules, f"{counter.host} {model.entry} {model.name}".lower(), value)
        moved = ((re.compile(""), replace(rules, **{name: value + STEP})),)
        changed = {"HOSTS" if family == "other" else "GENERATIONS": moved}
    if abs(value) <= NOTHING * abs(start) or value == 1:
        return
    with changed_to(data, changed):
        slope = (counter.tokens() - sample.tokens) / STEP
    if abs(slope) * STEP > 1:
        sample.slopes[group, name] = slope
        sample.shipped[group, name] = value


def _group(family: str, rules: Any, name: str, value: float) -> str:
    """The calls that share a number: Claude's generations differ in few and share the rest."""
    if family == "gemini":
        return "3" if rules.image else "2.0" if rules.cropped else "2.5"
    if family == "anthropic":
        return f"where {value}"
    return next((pattern.pattern for pattern, _ in other.data.HOSTS if pattern.search(name)), "other")


@contextmanager
def changed_to(module: ModuleType, values: Mapping[str, Any]) -> Iterator[None]:
    """The module with other values in it."""
    kept = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in kept.items():
            setattr(module, name, value)


Numbers = dict[tuple[str, str], float]


def fitted(family: str, rows: Sequence[Sample], known: Numbers) -> Numbers:
    """The numbers with about the least mean relative error over the rows: weighted least squares, where an odd
    bill weighs as little as it is odd, one number after another."""
    starts = FITTED[family]
    found = {key: float(starts[key[1]]) for key in known}
    users: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
    for row in rows:
        for key in row.slopes:
            users[key].append(row)
    left = {id(row): row.billed - estimate(row, found) for row in rows}
    for _ in range(ROUNDS):
        for key, using in users.items():
            pulls = [(row.slopes[key], left[id(row)], row.billed) for row in using]
            weighted = [(slope / billed / max(abs(off), ODD * billed), slope, off) for slope, off, billed in pulls]
            curve = sum(weight * slope for weight, slope, _ in weighted)
            pull = sum(weight * off for weight, _, off in weighted) + PRIOR * curve * (starts[key[1]] - found[key])
            step = pull / (curve * (1 + PRIOR))
            found[key] += step
            for row in using:
                left[id(row)] -= step * row.slopes[key]
    return found


def estimate(row: Sample, numbers: Numbers) -> float:
    """A call's tokens with other numbers than the shipped ones."""
    return row.tokens + sum(slope * (numbers[key] - row.shipped[key]) for key, slope in row.slopes.items())


def bounds(family: str, rows: Sequence[tuple[Sample, int]]) -> Mapping[tuple[str, str], Bound]:
    """(rules, class) -> the line of least sum over the class's bills, widened; (rules, "*") for the rest."""
    shipped = {(rules, cls): bound for rules, lines in BOUNDS.items() for cls, bound in lines.items()}
    if family not in WIDER:
        return shipped
    classes: defaultdict[tuple[str, str], list[tuple[Sample, int]]] = defaultdict(list)
    for row, tokens in rows:
        for cls in () if row.unseen else (row.cls, (row.cls[0], "*")):
            classes[cls].append((row, tokens))
    factor, more = WIDER[family]
    tight = {cls: _tightest(of) for cls, of in classes.items() if len(of) >= FEW or cls[1] == "*"}
    return shipped | {cls: Bound(found.factor + factor, found.more + more) for cls, found in tight.items()}


def _tightest(rows: Sequence[tuple[Sample, int]]) -> Bound:
    lines = []
    for more in CONSTANTS:
        factor = max(1.0, *((row.billed - more) / max(1, tokens) for row, tokens in rows))
        lines.append((sum(factor * tokens + more for _, tokens in rows), factor, more))
    _, factor, more = min(lines)
    return Bound(factor, more)


def held_out(rows: Sequence[Sample], folds: int) -> Iterator[tuple[Sample, Score]]:
    """Each row as it is scored by what the other folds say."""
    for family in sorted({row.family for row in rows}):
        ours = [row for row in rows if row.family == family]
        known = {key: value for row in ours for key, value in row.shipped.items()}
        for fold in range(folds):
            inside = [row for row in ours if row.fold != fold]
            seen = {key for row in inside for key in row.slopes}
            numbers = fitted(family, inside, known) if family in FITTED else known
            counted = {id(row): max(0, round(estimate(row, numbers))) for row in ours}
            lines = bounds(family, [(row, counted[id(row)]) for row in inside])
            for row in ours:
                if row.fold == fold:
                    line = lines.get(row.cls) or lines[row.cls[0], "*"]
                    tokens = counted[id(row)]
                    upper = ceil(tokens * line.factor) + line.more + row.unseen
                    named = family if family != "other" or row.slopes.keys() <= seen else NEW
                    yield row, Score(named, row.kind, Estimate(tokens, upper, ""), row.billed)


def main() -> None:
    """Fit, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traffic", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--rows", type=Path, help="write every held-out row as JSON lines")
    parser.add_argument("--numbers", action="store_true", help="print what a fit to all rows gives, and stop")
    given = parser.parse_args()
    rows = list(samples(given.traffic, given.folds))
    if given.numbers:
        return _tell_numbers(rows)
    scored = list(held_out(rows, given.folds))
    if given.rows:
        lines = ({"id": row.id, "family": row.family, "kind": row.kind, "tokens": score.estimate.tokens,
                  "upper": score.estimate.upper, "billed": row.billed} for row, score in scored)  # fmt: skip
        given.rows.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    print(f"{__doc__}\n| family | kind | n | exact | median | P95 | sum | covered | bounds | study | target |")
    print("|---" * 11 + "|")
    for (group, kind), line in table(score for _, score in scored).items():
        if group != ALL or kind == ALL:
            print(f"| {' | '.join((group, kind, str(line.n), *figures(line), *STUDY.get((group, kind), ('', ''))))} |")


def _tell_numbers(rows: Sequence[Sample]) -> None:
    for family in FITTED:
        ours = [row for row in rows if row.family == family]
        known = {key: value for row in ours for key, value in row.shipped.items()}
        for key, value in sorted(fitted(family, ours, known).items()):
            using = sum(key in row.slopes for row in ours)
            print(f"{family}\t{key[0]}\t{key[1]}\t{value:.3f} (ships {known[key]}, {using} calls)")


if __name__ == "__main__":
    main()
