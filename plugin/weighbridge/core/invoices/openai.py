"""OpenAI's exports: the usage page's CSV (Activity and Cost), and the answers of the usage and costs API.

The CSV has the columns of the API's fields; times are UTC.  `input_tokens` contains `input_cached_tokens`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.invoices.lines import ALL, Format, Line, Row, count, decimal, instant, money

KINDS: Final = ("input", "output", "cached", "cache", "audio", "image", "text", "training", "batch")
"""Words after the last comma of a cost's `line_item` that say what of a model it is for."""


def _usage(row: Row, where: tzinfo) -> Iterator[Line]:
    figures = (
        count(row, "num_model_requests"),
        count(row, "input_tokens"),
        count(row, "output_tokens"),
        count(row, "input_cached_tokens"),
    )
    if any(figures):
        yield Line(*_bucket(row, where), row.get("model") or ALL, *figures)


def _costs(row: Row, where: tzinfo) -> Iterator[Line]:
    nano, slack = money(decimal(row, "amount_value"))
    if not nano:
        return
    currency = str(row.get("amount_currency") or "usd").lower()
    if currency != "usd":
        raise ConfigError(f"its costs are in {currency}, and the journal is in usd")
    yield Line(*_bucket(row, where), _billed(row.get("line_item")), nano_usd=nano, slack=slack)


def _billed(item: str | None) -> str:
    """The model of "gpt-5-nano, input_tokens"; what is no model's stands in brackets."""
    if not item:
        return ALL
    name, comma, kind = item.rpartition(",")
    return name if comma and any(word in kind for word in KINDS) else f"({item})"


def _nothing(row: Row, where: tzinfo) -> Iterator[Line]:
    """An export of a time in which nothing was used has no columns for it."""
    yield from ()


def _bucket(row: Row, where: tzinfo) -> tuple[int, int]:
    return instant(row["start_time"], where), instant(row["end_time"], where)


API: Final = "https://platform.openai.com/docs/api-reference/usage"
BUCKET: Final = ("start_time", "end_time")
FORMATS: Final = (
    Format("OpenAI usage", "openai", (*BUCKET, "input_tokens", "num_model_requests"), _usage, source=API),
    Format("OpenAI costs", "openai", (*BUCKET, "amount_value"), _costs, source=API + "/costs"),
    Format("OpenAI, empty", "openai", (*BUCKET, "start_time_iso", "end_time_iso"), _nothing, source=API),
)
