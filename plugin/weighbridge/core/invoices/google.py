"""Google's exports: Cloud Billing's reports and cost table as CSV, and its BigQuery export as JSON.

Google bills by SKU, whose description names the model and whether tokens went in, came from a cache or
came out.  Cached tokens are not among those of the input SKU, thoughts are among those of the output SKU,
and nobody says how many requests there were.  Billing days are those of US Pacific time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import tzinfo
from decimal import Decimal
from typing import Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.invoices.lines import Format, Line, Row, count, day, decimal, instant, money

AI: Final = re.compile(r"gemini|gemma|generative language|token count")
KIND: Final = re.compile(r"\b(input|output) token count\b|\b(input|output)\b.* predictions\b")
CACHED: Final = re.compile(r"\bcach(ed|ing)\b")
STORAGE: Final = re.compile(r"\b(storage|hours?)\b")
NAME: Final = re.compile(r"\bgem(?:ini|ma)\b.*")
NOT_OF_THE_NAME: Final = re.compile(
    r" (short|long|text|image|audio|video|document|input|output|thinking|non|native|flex|batch|priority|global|"
    r"cached|caching|token|predictions)\b.*"
)
TOKENS: Final = ("count", "1", "token", "tokens", "")
COST: Final = re.compile(r"(unrounded cost|unrounded subtotal|cost|subtotal)(?: \((.+)\))?$")
COSTS: Final = ("unrounded cost", "unrounded subtotal", "cost", "subtotal")
"""What was billed, the most exact first."""
DOLLARS: Final = ("$", "usd", "us$")


def model_of(sku: str) -> str:
    """The model of "Generate content output token count gemini 2.5 flash short output text": gemini-2.5-flash."""
    words = " ".join(re.split(r"[\s_-]+", sku.lower()))
    named = NAME.search(words)
    return NOT_OF_THE_NAME.sub("", named[0]).strip().replace(" ", "-") if named else ""


def _report(row: Row, where: tzinfo) -> Iterator[Line]:
    """A row of a CSV, by day or, in the cost table, for the days it names."""
    sku = str(row.get("sku description") or "")
    if not _is_ai(sku, row.get("service description")) or row.get("credit type"):
        return
    if not (row.get("date") or row.get("usage start date")):
        raise ConfigError("its rows have no date; group the report by date, or leave the usage dates in the cost table")
    start, _ = day(row.get("date") or row["usage start date"], where)
    _, end = day(row.get("date") or row.get("usage end date") or row["usage start date"], where)
    yield _line(start, end, sku, row, ("usage amount", "usage unit"), _billed(row))


def _bigquery(row: Row, where: tzinfo) -> Iterator[Line]:
    sku = str(row.get("sku_description") or "")
    if not _is_ai(sku, row.get("service_description")):
        return
    start, end = instant(row["usage_start_time"], where), instant(row["usage_end_time"], where)
    rate = decimal(row, "currency_conversion_rate") or Decimal(1)
    if str(row.get("currency") or "USD").upper() != "USD" and rate == 1:
        raise ConfigError(f"its costs are in {row['currency']}; export `currency_conversion_rate` too")
    yield _line(start, end, sku, row, ("usage_amount", "usage_unit"), _in_dollars(decimal(row, "cost"), rate))


def _is_ai(sku: str, service: str | None) -> bool:
    return AI.search(f"{service} {sku}".lower()) is not None


def _billed(row: Row) -> tuple[int | None, int]:
    found = {named[1]: (column, named[2]) for column in row if (named := COST.fullmatch(column))}
    column, sign = next((found[name] for name in COSTS if name in found), ("", None))
    rate = decimal(row, "currency exchange rate")
    currency = str(row.get("currency") or sign or "$")
    if rate is None and currency.lower() not in DOLLARS:
        raise ConfigError(f"its costs are in {currency}, with no exchange rate; export the cost table, which has one")
    return _in_dollars(decimal(row, column), rate or Decimal(1))


def _in_dollars(number: Decimal | None, rate: Decimal) -> tuple[int | None, int]:
    nano, slack = money(number)
    return (None, 0) if nano is None else (int(nano / rate), int(slack / rate) + 1)


def _line(start: int, end: int, sku: str, row: Row, used: tuple[str, str], billed: tuple[int | None, int]) -> Line:
    words = " ".join(re.split(r"[\s_-]+", sku.lower()))
    kind, model = KIND.search(words), model_of(sku)
    amount, unit = used
    nano, slack = billed
    if kind is None or not model or STORAGE.search(words) or str(row.get(unit) or "").lower() not in TOKENS:
        return Line(start, end, f"({sku})", nano_usd=nano, slack=slack)
    tokens = count(row, amount)
    if "output" in kind.groups():
        return Line(start, end, model, None, 0, tokens, 0, nano, slack)
    return Line(start, end, model, None, tokens, 0, tokens if CACHED.search(words) else 0, nano, slack)


PACIFIC: Final = "America/Los_Angeles"
CONSOLE: Final = "https://cloud.google.com/billing/docs/how-to/reports"
EXPORT: Final = "https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage"
REPORT: Final = ("sku description", "usage amount", "usage unit")
BIGQUERY: Final = ("usage_start_time", "usage_end_time", "sku_description", "usage_amount", "cost")
FORMATS: Final = (
    Format("Google Cloud Billing report or cost table", "gemini", REPORT, _report, PACIFIC, CONSOLE),
    Format("Google Cloud Billing in BigQuery", "gemini", BIGQUERY, _bigquery, PACIFIC, EXPORT),
)
