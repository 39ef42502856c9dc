"""Recorded traffic from disk: JSON lines, plain or compressed, weighed row by row."""

from __future__ import annotations

import gzip
import json
import lzma
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from weighbridge import wiring
from weighbridge.adapters.cli.session import settings
from weighbridge.adapters.cli.watching import watching
from weighbridge.core.admission import Weighed
from weighbridge.core.errors import ConfigError, Refused
from weighbridge.core.exchanges import Exchange, read
from weighbridge.core.policy.model import Rules
from weighbridge.scale import Scale

OPENERS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Iterable[bytes]]]]] = {
    ".gz": gzip.GzipFile,
    ".xz": lzma.LZMAFile,
}
"""Ending of a file's name -> what reads it; everything else is plain."""
BROKEN: Final = (EOFError, lzma.LZMAError, gzip.BadGzipFile)


@dataclass(frozen=True, slots=True)
class Row:
    """A row, weighed; or why it could not be."""

    id: str
    exchange: Exchange | None = None
    weighed: Weighed | None = None
    error: str = ""


@dataclass(slots=True)
class Tally:
    """What became of the rows."""

    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Why no bill can be held against them -> how many."""
    failed: Counter[str] = field(default_factory=Counter)
    """Why they could not be read -> how many."""


def scale() -> Scale:
    """The scale of the settings; a call whose provider the recording does not tell has none."""
    return replace(wiring.scale(settings()), provider_of=lambda call: "")


def rows(path: Path, on: Scale) -> Iterator[Row]:
    """Every row of a file, weighed.  Raises ConfigError where it cannot be read."""
    for line, number in lines(path, "weighing"):
        yield weigh(line, number, on)


def lines(path: Path, doing: str) -> Iterator[tuple[bytes, int]]:
    """Every line of a file that is not empty, and its number, with progress where somebody watches.
    Raises ConfigError."""
    with _progress() as progress:
        task = progress.add_task(doing, total=None)
        for number, line in enumerate(_lines(path), 1):
            if line.strip():
                yield line, number
            progress.update(task, completed=number)


def weigh(line: bytes, number: int, on: Scale) -> Row:
    """One row."""
    name = f"line {number}"
    try:
        row = json.loads(line)
        name = str(row.get("id") or name) if isinstance(row, dict) else name
        exchange = read(row)
        return Row(name, exchange, on.count(exchange.raw, Rules()))
    except Refused as error:
        return Row(name, error=error.message)
    except (ValueError, RecursionError) as error:
        return Row(name, error=f"not JSON: {error}")


def countable(found: Iterator[Row], tally: Tally) -> Iterator[tuple[Exchange, Weighed]]:
    """The rows whose bill an estimate can be held against; the rest is tallied."""
    for row in found:
        tally.rows += 1
        if row.exchange is None or row.weighed is None:
            tally.failed[row.error] += 1
            continue
        why = row.exchange.left_out(row.weighed.call)
        tally.left_out.update([why] if why else [])
        if not why:
            yield row.exchange, row.weighed


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with OPENERS[path.suffix](path) if path.suffix in OPENERS else path.open("rb") as file:
            yield from file
    except BROKEN as error:
        raise ConfigError(f"{path} breaks off or is not compressed as its name says ({error})") from error


def _progress() -> Progress:
    out = Console(stderr=True)
    columns: tuple[Any, ...] = (
        SpinnerColumn(), TextColumn("{task.description} {task.completed:,} rows"), TimeElapsedColumn(),
    )  # fmt: skip
    return watching(*columns, out=out, watched=sys.stderr.isatty())
