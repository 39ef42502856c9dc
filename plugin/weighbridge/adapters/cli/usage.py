"""`weighbridge usage`: the journal, added up."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show, spans
from weighbridge.adapters.cli.session import ledger
from weighbridge.core.books import Page
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Entries, Entry
from weighbridge.ledger import Store

BY: Final[Mapping[str, Callable[[Entry, tzinfo], str]]] = {
    "org": lambda e, where: e.org,
    "team": lambda e, where: e.team,
    "user": lambda e, where: e.user,
    "key": lambda e, where: e.key,
    "model": lambda e, where: e.model,
    "provider": lambda e, where: e.provider,
    "dialect": lambda e, where: e.dialect,
    "decision": lambda e, where: e.decision,
    "shadow": lambda e, where: e.shadow,
    "ending": lambda e, where: e.ending,
    "day": lambda e, where: datetime.fromtimestamp(e.at / 1000, where).date().isoformat(),
    "month": lambda e, where: datetime.fromtimestamp(e.at / 1000, where).date().isoformat()[:7],
}
"""What can be reported by, beside tag.NAME."""
TIMES: Final = ("day", "month")
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
LOOKED_AT: Final = 20
"""Pages of counters."""
Row = dict[str, Any]


@click.command("usage")
@click.option("--by", metavar="A,B", default="team,model", show_default=True, help=f"{' '.join(BY)} tag.NAME")
@click.option("--since", metavar="WHEN", help="24h, 7d, or a date.  [default: 24h]")
@click.option("--until", metavar="WHEN", help="Up to then: 24h ago, 7d ago, or a date (that day left out).")
@click.option("--month", metavar="2026-10", help="One calendar month, instead of --since and --until.")
@click.option("--where", metavar="K=GLOB", multiple=True, help="Only these, e.g. team=research; may be given again.")
@click.option("--timezone", metavar="Z", default="UTC", show_default=True, help="Whose days and months are meant.")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@options.as_json
@options.common
def command(
    by: str,
    since: str | None,
    until: str | None,
    month: str | None,
    where: tuple[str, ...],
    timezone: str,
    form: str,
    as_json: bool,
) -> None:
    """What was used, by whom and for how much.

    Last month's spend of a team: weighbridge usage --month 2026-10 --where team=research --by user,model"""
    zone = spans.zone(timezone)
    fields = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    readers = [_reader(name, zone) for name in fields]
    start, end = spans.between(since, until, month, zone, wiring.clock())
    wanted = [_filter(text, zone) for text in where]
    with ledger() as store:
        kept = (entry for entry in journal(store, start, end) if all(fits(entry) for fits in wanted))
        rows = added_up(kept, fields, readers)
        begins = _begins(store, start)
    FORMS["json" if as_json else form](fields, rows)
    if begins:
        click.echo(
            f"weighbridge: the journal begins at {begins}; what was used before is not in these figures", err=True
        )


def added_up(entries: Iterable[Entry], fields: tuple[str, ...], readers: list[Callable[[Entry], str]]) -> list[Row]:
    """One row for each distinct value of `fields`: by time in its order, else the dearest first."""
    groups: dict[tuple[str, ...], Row] = {}
    for entry in entries:
        group = tuple(read(entry) for read in readers)
        row = groups.setdefault(group, dict(zip(fields, group, strict=True)) | dict.fromkeys(FIGURES, 0))
        for name, figure in FIGURES.items():
            row[name] += figure(entry)
    times = [index for index, name in enumerate(fields) if name in TIMES]
    ordered = sorted(groups, key=lambda group: ([group[i] for i in times], -groups[group]["nano_usd"], group))
    return [groups[group] for group in ordered]


def _reader(name: str, where: tzinfo) -> Callable[[Entry], str]:
    if name.startswith("tag.") and name != "tag.":
        return lambda entry: entry.tags.get(name.removeprefix("tag."), "")
    if name not in BY:
        raise ConfigError(f"cannot report by {name!r}; --by takes {', '.join(BY)} and tag.NAME")
    read = BY[name]
    return lambda entry: read(entry, where)


def _filter(text: str, where: tzinfo) -> Callable[[Entry], bool]:
    name, equals, glob = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} says nothing to look for; write e.g. --where team=research")
    read = _reader(name.strip(), where)
    return lambda entry: fnmatchcase(read(entry), glob.strip())


def journal(store: Store, since: int, until: int | None = None) -> Iterator[Entry]:
    """The entries of a time, page by page; `until` is left out."""
    after = ""
    while True:
        page = store.run(Entries(since, after, PAGE))
        for entry in page:
            if until is not None and entry.at >= until:
                return
            yield entry
        if len(page) < PAGE:
            return
        after = page[-1].cursor


def _begins(store: Store, since: int) -> str | None:
    """When the journal begins, where it has let entries go that were asked for."""
    oldest = store.run(Entries(0, "", 1))
    if not oldest or oldest[0].at <= since or not has_let_go(store):
        return None
    return show.moment(oldest[0].at)


def has_let_go(store: Store) -> bool:
    """Whether counters were charged by entries that are gone: then the first that are looked at say so."""
    cursor = ""
    for _ in range(LOOKED_AT):
        leaf = store.run(Page("counters", cursor))
        if any(row.kind == "base" and row.text != "0" for row in leaf.rows):
            return True
        cursor = leaf.cursor
        if not cursor:
            break
    return False


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
