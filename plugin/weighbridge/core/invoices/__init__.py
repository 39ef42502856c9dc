"""A provider's exported usage, read into lines: CSV and JSON, told apart by their columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.invoices import anthropic, google, openai
from weighbridge.core.invoices.lines import ALL, Format, Line, Row, fold, instant
from weighbridge.core.policy.window import zone

__all__ = ["ALL", "FORMATS", "Format", "Invoice", "Line", "fold", "read"]

FORMATS: Final = (*openai.FORMATS, *anthropic.FORMATS, *google.FORMATS)
"""Every kind of export that is understood; the first whose columns are all there is taken."""
DEEPEST: Final = 4
BUCKETS: Final = ("results", "result")
"""Under which a span of time keeps its rows."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """An export, read."""

    format: Format
    zone: tzinfo
    """Whose days its dates are."""
    lines: tuple[Line, ...]
    start: int
    """First millisecond it is for; 0 where it has no rows."""
    end: int
    """First millisecond after it."""


def read(text: str, timezone: str | None = None) -> Invoice:
    """An export as a provider wrote it; `timezone` instead of the one that provider's dates are in.

    Raises ConfigError: an unknown format (with those that are known), a value that cannot be, a time zone
    nobody knows."""
    rows = _json_rows(text) if text.lstrip()[:1] in ("{", "[") else _csv_rows(text)
    columns = {column for row in rows for column in row}
    format = next((format for format in FORMATS if columns.issuperset(format.columns)), None)
    if format is None:
        raise ConfigError(_unknown(columns))
    where = zone(timezone or format.zone)
    lines: list[Line] = []
    for number, row in enumerate(rows, 1):
        try:
            lines += format.read(row, where)
        except ConfigError as error:
            raise ConfigError(f"{format.name}, row {number}: {error}") from None
        except KeyError as error:
            raise ConfigError(f"{format.name}, row {number}: {error} is missing") from None
    spans = [(line.start, line.end) for line in lines] + list(_empty(rows, where))
    return Invoice(
        format, where, tuple(lines), min((s for s, _ in spans), default=0), max((e for _, e in spans), default=0)
    )


def _empty(rows: Sequence[Row], where: tzinfo) -> Iterator[tuple[int, int]]:
    """The spans of rows in which nothing was used: the export is for them too."""
    for row in rows:
        for first, last in (openai.BUCKET, anthropic.BUCKET):
            if row.get(first) and row.get(last):
                yield instant(row[first], where), instant(row[last], where)


def _unknown(columns: set[str]) -> str:
    known = "; ".join(f"{format.name} ({', '.join(format.columns)})" for format in FORMATS)
    found = ", ".join(sorted(columns)[:12]) or "nothing"
    return f"this is no export that is understood; expected is one of: {known}; found: {found}"


def _csv_rows(text: str) -> list[Row]:
    """The rows under the first line that has a format's columns; what stands above it is added to each."""
    try:
        table = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(row)]
    except csv.Error as error:
        raise ConfigError(f"it is no CSV: {error}") from None
    for index, header in enumerate(table):
        columns = [cell.lower() for cell in header]
        if any(set(columns).issuperset(format.columns) for format in FORMATS):
            above = {row[0].lower(): row[1] for row in table[:index] if len(row) > 1}
            return [{**above, **dict(zip(columns, row, strict=False))} for row in table[index + 1 :]] or [
                dict.fromkeys(columns)
            ]
    return [dict.fromkeys(cell.lower() for cell in table[0])] if table else []


def _json_rows(text: str) -> list[Row]:
    """The rows of a JSON document, a list of them, or one on each line."""
    try:
        try:
            document = json.loads(text, parse_float=Decimal)
        except ValueError:
            document = [json.loads(line, parse_float=Decimal) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"it begins like JSON and is none: {error}") from None
    pages = document if isinstance(document, list) else [document]
    if pages and isinstance(pages[-1], Mapping) and pages[-1].get("has_more"):
        raise ConfigError("it is not the last page (`has_more`): put all pages into one list")
    return [row for item in pages for row in _rows(item)]


def _rows(item: Any) -> Iterator[Row]:
    """The rows of one page, of one bucket, or the one row it is."""
    if not isinstance(item, Mapping):
        raise ConfigError(f"it holds {type(item).__name__} where a row was expected")
    if isinstance(item.get("data"), list):
        for bucket in item["data"]:
            yield from _rows(bucket)
        return
    holder = next((name for name in BUCKETS if isinstance(item.get(name), list)), None)
    if holder is None:
        yield _flat(item)
        return
    span = {name: value for name, value in _flat(item).items() if name != holder}
    yield from ({**span, **_flat(result)} for result in item[holder]) if item[holder] else iter((span,))


def _flat(item: Mapping[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in item.items():
        column = f"{before}{name}".lower()
        if isinstance(value, Mapping) and depth < DEEPEST:
            found |= _flat(value, f"{column}_", depth + 1)
        elif not isinstance(value, (Mapping, list)):
            found[column] = value
    return found
