"""`weighbridge usage`: the journal, added up."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show, spans
from weighbridge.adapters.cli.session import ledger
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Entries, Entry
from weighbridge.ledger import Store

BY: Final[Mapping[str, Callable[[Entry], str]]] = {
    "org": lambda e: e.org,
    "team": lambda e: e.team,
    "user": lambda e: e.user,
    "key": lambda e: e.key,
    "model": lambda e: e.model,
    "provider": lambda e: e.provider,
    "dialect": lambda e: e.dialect,
    "decision": lambda e: e.decision,
    "shadow": lambda e: e.shadow,
    "day": lambda e: datetime.fromtimestamp(e.at / 1000, UTC).date().isoformat(),
}
"""What can be reported by, beside tag.NAME; days are UTC."""
FIGURES: Final[Mapping[str, Callable[[Entry], int]]] = {
    "requests": lambda e: 1,
    "input_tokens": lambda e: e.input,
    "output_tokens": lambda e: e.output,
    "cached_tokens": lambda e: e.cached,
    "reasoning_tokens": lambda e: e.reasoning,
    "nano_usd": lambda e: e.nano_usd,
    "overrun_nano_usd": lambda e: e.overrun_nano_usd,
    "estimated_requests": lambda e: int(e.ending != "reported"),
}
"""What is added up; `estimated_requests` are those whose provider did not say what was used."""
PAGE: Final = 1000
Row = dict[str, Any]


@click.command("usage")
@click.option(
    "--by",
    metavar="A,B",
    default="team,model",
    show_default=True,
    help="org team user key model provider dialect decision shadow day tag.NAME",
)
@click.option("--since", metavar="WHEN", default="24h", show_default=True, help="24h, 7d, or a date.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@options.as_json
@options.common
def command(by: str, since: str, form: str, as_json: bool) -> None:
    """What was used, by whom and for how much."""
    fields = tuple(name.strip() for name in by.split(",") if name.strip())
    readers = [_reader(name) for name in fields]
    start = spans.before(since, wiring.clock())
    with ledger() as store:
        rows = added_up(_journal(store, start), fields, readers)
    FORMS["json" if as_json else form](fields, rows)


def added_up(entries: Iterable[Entry], fields: tuple[str, ...], readers: list[Callable[[Entry], str]]) -> list[Row]:
    """One row for each distinct value of `fields`: by day in order of time, else the dearest first."""
    groups: dict[tuple[str, ...], Row] = {}
    for entry in entries:
        group = tuple(read(entry) for read in readers)
        row = groups.setdefault(group, dict(zip(fields, group, strict=True)) | dict.fromkeys(FIGURES, 0))
        for name, figure in FIGURES.items():
            row[name] += figure(entry)
    if "day" in fields:
        return [groups[group] for group in sorted(groups)]
    return [row for _, row in sorted(groups.items(), key=lambda pair: (-pair[1]["nano_usd"], pair[0]))]


def _reader(name: str) -> Callable[[Entry], str]:
    if name.startswith("tag.") and name != "tag.":
        return lambda entry: entry.tags.get(name.removeprefix("tag."), "")
    if name not in BY:
        raise ConfigError(f"cannot report by {name!r}; --by takes {', '.join(BY)} and tag.NAME")
    return BY[name]


def _journal(store: Store, since: int) -> Iterator[Entry]:
    after = ""
    while True:
        page = store.run(Entries(since, after, PAGE))
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].cursor


def _json(fields: tuple[str, ...], rows: list[Row]) -> None:
    show.document(rows)


def _csv(fields: tuple[str, ...], rows: list[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, (*fields, *FIGURES), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    click.echo(text.getvalue(), nl=False)


def _table(fields: tuple[str, ...], rows: list[Row]) -> None:
    if not rows:
        return show.line("Nothing was settled in this time.  --since 30d looks further back.")
    columns = (*fields, ">requests", ">input", ">output", ">cached", ">reasoning", ">cost", ">overrun", ">estimated")
    show.table(columns, [_cells(fields, row) for row in (*rows, _total(fields, rows))])


def _total(fields: tuple[str, ...], rows: list[Row]) -> Row:
    names = dict.fromkeys(fields, "") | {fields[0]: "total"} if fields else {}
    return {**names, **{name: sum(row[name] for row in rows) for name in FIGURES}}


def _cells(fields: tuple[str, ...], row: Row) -> list[str]:
    money = ("nano_usd", "overrun_nano_usd")
    shown = [show.dollars(row[name]) if name in money else f"{row[name]:,}" for name in FIGURES]
    return [*(row[name] for name in fields), *shown]


FORMS: Final[Mapping[str, Callable[[tuple[str, ...], list[Row]], None]]] = {"json": _json, "csv": _csv, "table": _table}
