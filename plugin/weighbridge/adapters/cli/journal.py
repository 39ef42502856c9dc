"""`weighbridge journal`: every settlement, taken to an archive and brought back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show, spans, traffic
from weighbridge.adapters.cli.session import ledger
from weighbridge.adapters.cli.usage import has_let_go, journal
from weighbridge.core.archive import line_of, settlement_of
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Entries, Settle
from weighbridge.ledger import Store

DAMAGED: Final = 1
"""Exit status."""


@click.group("journal")
def command() -> None:
    """The journal, one line a settlement: to an archive, and back into a store that lost it."""


@command.command("export")
@click.option("--since", metavar="WHEN", help="24h, 7d, or a date.  [default: all there is]")
@click.option("--until", metavar="WHEN", help="Up to then; a date is left out.")
@click.option("--month", metavar="2026-10", help="One calendar month (UTC).")
@click.option("-o", "--output", type=click.File("w", encoding="utf-8", lazy=False), default="-", metavar="FILE")
@options.common
def export(since: str | None, until: str | None, month: str | None, output: TextIO) -> None:
    """Write the journal as JSON lines, oldest first."""
    start, end = spans.between(since, until, month, spans.zone("UTC"), wiring.clock(), "1970-01-01")
    with ledger() as store:
        for entry in journal(store, start, end):
            output.write(json.dumps(line_of(entry), ensure_ascii=False, separators=(",", ":")) + "\n")


@command.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
@options.common
def bring_back(file: Path, as_json: bool) -> int:
    """Settle what an export holds and the journal does not.  FILE may be .gz or .xz.

    Doing it again changes nothing.  Entries from before a journal that has let its oldest go are left
    out: they may be in its counters already."""
    done = {"imported": 0, "known": 0, "too_old": 0, "damaged": 0}
    with ledger() as store:
        known, begins = _known(store)
        for verb in _settlements(file, done):
            done[_fate(store, verb, known, begins)] += 1
    if as_json:
        show.document(done)
    else:
        show.line(", ".join(f"{n:,} {words.replace('_', ' ')}" for words, n in done.items() if n) or "nothing in it")
    return DAMAGED if done["damaged"] else 0


def _fate(store: Store, verb: Settle, known: set[str], begins: int) -> str:
    if verb.id in known:
        return "known"
    if verb.now is not None and verb.now < begins:
        return "too_old"
    known.add(verb.id)
    return "known" if store.run(verb).outcome == "already" else "imported"


def _known(store: Store) -> tuple[set[str], int]:
    """Ids in the journal, and the time before which it may have known others."""
    ids = {entry.id for entry in journal(store, 0)}
    oldest = store.run(Entries(0, "", 1))
    return ids, oldest[0].at if oldest and has_let_go(store) else 0


def _settlements(path: Path, done: dict[str, int]) -> Iterator[Settle]:
    for line, number in traffic.lines(path, "importing"):
        try:
            yield settlement_of(_json(line))
        except ConfigError as error:
            done["damaged"] += 1
            click.echo(f"weighbridge: {path} line {number} {error}", err=True)


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"is not JSON: {error}") from error
