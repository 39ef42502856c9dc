"""Anthropic's exports: the Console's usage and cost CSV, and the Admin API's usage and cost reports.

Neither says how many requests there were.  Dates are UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.invoices.lines import ALL, Format, Line, Row, count, day, decimal, instant, money

CENTS: Final = 100
CSV_WRITES: Final = tuple(f"usage_input_tokens_cache_write{kind}" for kind in ("", "_5m", "_1h"))
API_WRITES: Final = (
    "cache_creation_ephemeral_5m_input_tokens",
    "cache_creation_ephemeral_1h_input_tokens",
    "cache_creation_5m_input_tokens",
    "cache_creation_1h_input_tokens",
)


def _usage_csv(row: Row, where: tzinfo) -> Iterator[Line]:
    read = "usage_input_tokens_cache_read"
    yield Line(
        *day(row["usage_date_utc"], where),
        row.get("model_version") or ALL,
        input=count(row, "usage_input_tokens_no_cache", *CSV_WRITES, read),
        output=count(row, "usage_output_tokens"),
        cached=count(row, read),
    )


def _cost_csv(row: Row, where: tzinfo) -> Iterator[Line]:
    nano, slack = money(decimal(row, "cost_usd"))
    model = row.get("model") or f"({row.get('cost_type') or row.get('token_type') or 'no model'})"
    yield Line(*day(row["usage_date_utc"], where), model, nano_usd=nano or 0, slack=slack)


def _usage_report(row: Row, where: tzinfo) -> Iterator[Line]:
    if row.get("uncached_input_tokens") is None:
        return
    yield Line(
        *_bucket(row, where),
        row.get("model") or ALL,
        input=count(row, "uncached_input_tokens", *API_WRITES, "cache_read_input_tokens"),
        output=count(row, "output_tokens"),
        cached=count(row, "cache_read_input_tokens"),
    )


def _cost_report(row: Row, where: tzinfo) -> Iterator[Line]:
    nano, slack = money(decimal(row, "amount"), CENTS)
    if nano is None:
        return
    if str(row.get("currency") or "USD").upper() != "USD":
        raise ConfigError(f"its costs are in {row['currency']}, and the journal is in usd")
    fee = row.get("cost_type") or ""
    model = row.get("model") or (f"({fee})" if fee not in ("", "tokens") else ALL)
    yield Line(*_bucket(row, where), model, nano_usd=nano, slack=slack)


def _bucket(row: Row, where: tzinfo) -> tuple[int, int]:
    return instant(row["starting_at"], where), instant(row["ending_at"], where)


CONSOLE: Final = "https://support.claude.com/en/articles/9534590-cost-and-usage-reporting-in-console"
ADMIN: Final = "https://platform.claude.com/docs/en/api/admin-api/usage-cost"
USAGE: Final = ("usage_date_utc", "model_version", "usage_input_tokens_no_cache", "usage_output_tokens")
BUCKET: Final = ("starting_at", "ending_at")
FORMATS: Final = (
    Format("Anthropic Console usage", "anthropic", USAGE, _usage_csv, source=CONSOLE),
    Format("Anthropic Console cost", "anthropic", ("usage_date_utc", "model", "cost_usd"), _cost_csv, source=CONSOLE),
    Format("Anthropic usage report", "anthropic", (*BUCKET, "uncached_input_tokens"), _usage_report, source=ADMIN),
    Format("Anthropic cost report", "anthropic", (*BUCKET, "amount", "currency"), _cost_report, source=ADMIN),
)
