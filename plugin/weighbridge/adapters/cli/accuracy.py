"""`weighbridge accuracy`: estimates held against what recorded traffic was billed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final

import click

from weighbridge import wiring
from weighbridge.adapters.cli import lessons, options, show, traffic
from weighbridge.adapters.cli.traffic import Row, Tally
from weighbridge.core.accuracy import ALL, Accuracy, Score, table
from weighbridge.core.admission import Weighed
from weighbridge.core.errors import ConfigError
from weighbridge.core.exchanges import Exchange

MOST_REASONS: Final = 12
"""Reasons named; the rest is a number."""
EMBEDDINGS: Final = ("openai-embeddings", "openai-completions")
BY: Final[Mapping[str, Callable[[Exchange, Weighed], str]]] = {
    "family": lambda exchange, weighed: _family(weighed),
    "provider": lambda exchange, weighed: exchange.where or "unknown",
    "dialect": lambda exchange, weighed: weighed.call.dialect,
    "model": lambda exchange, weighed: weighed.call.model,
}
"""What the table can be grouped by."""


@click.command("accuracy")
@click.argument("file", metavar="TRAFFIC", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--rows", metavar="OUT.jsonl", type=click.Path(dir_okay=False, path_type=Path), help="Write every row.")
@click.option("--by", type=click.Choice(list(BY)), default="family", show_default=True, help="What to group by.")
@click.option("--calibration", metavar="FILE", type=click.Path(path_type=Path), help="Count with this calibration.")
@click.option("--live", is_flag=True, help="Show what settlements taught the estimates, by host and model.")
@click.option("--export", metavar="FILE", type=click.Path(path_type=Path), help="With --live: write a calibration.")
@options.as_json
@options.common
def command(file: Path | None, live: bool, export: Path | None, as_json: bool, **how: Any) -> None:
    """Hold estimates against bills: TRAFFIC is JSON lines (plain, .gz, .xz), one exchange a row."""
    if live == (file is not None) or (export is not None and not live):
        raise click.UsageError("give either TRAFFIC or --live; --export goes with --live")
    if file is None:
        lessons.tell(export, as_json)
    else:
        _score(file, as_json=as_json, **how)


def _score(file: Path, rows: Path | None, by: str, calibration: Path | None, as_json: bool) -> None:
    on = traffic.scale()
    if calibration is not None:
        on = replace(on, calibration=wiring.read_calibration(calibration))
    tally, scores = Tally(), list[Score]()
    with _written(rows) as write:
        for exchange, weighed in traffic.countable(_told(traffic.rows(file, on), write), tally):
            kind = exchange.kind(weighed.call)
            scores.append(Score(BY[by](exchange, weighed), kind, weighed.estimate, exchange.billed))
    if not scores:
        raise ConfigError(f"{file} holds no exchange that can be scored: {_reasons(tally.left_out + tally.failed)}")
    found = table(scores)
    if as_json:
        show.document(_document(found, tally, len(scores)))
    else:
        _tell(found, tally, len(scores), by)


def _family(weighed: Weighed) -> str:
    return "embeddings" if not weighed.call.generates else weighed.model.family


def _told(rows: Iterator[Row], write: Callable[[Row], None]) -> Iterator[Row]:
    """The rows, each written on its way."""
    for row in rows:
        write(row)
        yield row


@contextmanager
def _written(path: Path | None) -> Iterator[Callable[[Row], None]]:
    """What writes a row to the file of `--rows`, if there is one."""
    if path is None:
        yield lambda row: None
        return
    with path.open("w", encoding="utf-8") as file:
        yield lambda row: _write(file, row)


def _write(file: IO[str], row: Row) -> None:
    found = row.weighed and row.weighed.estimate
    document = {
        "id": row.id,
        "estimate": found and found.tokens,
        "upper": found and found.upper,
        "method": found and found.method,
        "error": row.error or None,
    }
    file.write(json.dumps(document, ensure_ascii=True) + "\n")


def _document(found: Mapping[tuple[str, str], Accuracy], tally: Tally, scored: int) -> dict[str, Any]:
    lines = [{"group": group, "kind": kind, **line.document()} for (group, kind), line in found.items()]
    return {
        "rows": tally.rows,
        "scored": scored,
        "left_out": dict(tally.left_out.most_common()),
        "failed": dict(tally.failed.most_common()),
        "table": lines,
    }


COLUMNS: Final = ("kind", ">n", ">exact", ">median", ">P95", ">estimates/bills", ">covered", ">bounds/bills")


def _tell(found: Mapping[tuple[str, str], Accuracy], tally: Tally, scored: int, by: str) -> None:
    show.line(f"{scored:,} of {tally.rows:,} rows scored.", "bold")
    for name, reasons in (("Left out", tally.left_out), ("Not read", tally.failed)):
        if reasons:
            show.line(f"{name}: {_reasons(reasons)}.", "dim")
    show.line()
    show.table((by, *COLUMNS), [_cells(group, kind, line) for (group, kind), line in found.items()])


def _reasons(reasons: Counter[str]) -> str:
    named = [f"{why} ({n:,})" for why, n in reasons.most_common(MOST_REASONS)]
    rest = sum(reasons.values()) - sum(n for _, n in reasons.most_common(MOST_REASONS))
    return ", ".join([*named, f"other reasons ({rest:,})"] if rest else named) or "no rows"


def _cells(group: str, kind: str, line: Accuracy) -> tuple[str, ...]:
    return (
        group if kind != ALL or group == ALL else "",
        kind,
        f"{line.n:,}",
        *figures(line),
    )


def figures(line: Accuracy) -> tuple[str, ...]:
    """An accuracy as people read it, in the order of COLUMNS behind `n`."""
    shares = (f"{line.exact:.0%}", f"{line.median:.1%}", f"{line.p95:.1%}")
    return (*shares, f"{line.sum:.3f}", f"{line.coverage:.1%}", f"{line.upper:.2f}")
