"""What a provider's export says was used: one line for each model in a span of time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from weighbridge.core.catalogue import RENAMED, bare, undated
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import LARGEST
from weighbridge.core.model import NANO

Row = Mapping[str, Any]
"""A row of an export: column, lower case -> what it holds.  A nested field has its path joined by `_`."""
ALL: Final = "(all models)"
"""The model of an export that is not broken down by model."""
MILLISECONDS: Final = 1000
MONTH_DAY: Final = re.compile(r"-(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")
"""OpenAI's older snapshots: gpt-4-0613."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line.  A figure that the export does not have is None."""

    start: int
    """First millisecond it is for."""
    end: int
    """First millisecond after it."""
    model: str
    """As the provider names it; ALL, or "(WHAT)" for a fee that is no model's."""
    requests: int | None = None
    input: int | None = None
    """Prompt tokens, cached ones included."""
    output: int | None = None
    cached: int | None = None
    """Prompt tokens read from a cache."""
    nano_usd: int | None = None
    slack: int = 0
    """Nano-dollars by which the cost may be rounded."""


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of export."""

    name: str
    provider: str
    """"openai", "anthropic" or "gemini"."""
    columns: tuple[str, ...]
    """What tells it: all of these columns are there."""
    read: Callable[[Row, tzinfo], Iterator[Line]]
    """The lines of one row; dates without a time are those of the zone.  Raises ConfigError."""
    zone: str = "UTC"
    """Whose dates the provider writes."""
    source: str = ""
    """Where the provider says so."""


def fold(model: str) -> str:
    """A model's name as invoices and requests can agree on: no provider before it, no date after it,
    lower case; "Claude Haiku 4.5" is "claude-haiku-4-5"."""
    name = bare(model.strip()).lower().replace(" ", "-")
    if name.startswith("claude"):
        name = name.replace(".", "-")
    while (shorter := MONTH_DAY.sub("", undated(name))) != name and shorter:
        name = shorter.strip()
    return RENAMED.get(name, name)


def count(row: Row, *columns: str) -> int:
    """The sum of whole numbers, 0 where a column is empty or not there.  Raises ConfigError."""
    return sum(_whole(row, column) for column in columns)


def _whole(row: Row, column: str) -> int:
    number = decimal(row, column)
    if number is None:
        return 0
    if number != number.to_integral_value() or not 0 <= number <= LARGEST:
        raise ConfigError(f"{column} is {row[column]!r}, which is no number of tokens or requests")
    return int(number)


def decimal(row: Row, column: str) -> Decimal | None:
    """A number, thousands separated or not; None where the column is empty or not there.  Raises ConfigError."""
    written = str(row.get(column) if row.get(column) is not None else "").strip().replace(",", "")
    if not written:
        return None
    try:
        number = Decimal(written)
    except InvalidOperation:
        raise ConfigError(f"{column} is {row[column]!r}, which is no number") from None
    if not number.is_finite():
        raise ConfigError(f"{column} is {row[column]!r}, which is no number")
    return number


def money(number: Decimal | None, units: int = 1) -> tuple[int | None, int]:
    """(Nano-dollars, by how many they may be rounded) of an amount in the `units`-th part of a dollar."""
    if number is None:
        return None, 0
    if abs(number) > LARGEST // NANO:
        raise ConfigError(f"an amount of {number} is more than any bill")
    nano = (number * NANO / units).quantize(Decimal(1), ROUND_HALF_EVEN)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return int(nano), int(Decimal(1).scaleb(exponent) * NANO / units / 2)


def day(written: Any, where: tzinfo) -> tuple[int, int]:
    """The first millisecond of a date and the first after it.  Raises ConfigError."""
    start = _moment(written, where)
    return milliseconds(start), milliseconds(start + timedelta(days=1))


def instant(written: Any, where: tzinfo) -> int:
    """A time in milliseconds: RFC 3339, or seconds since the epoch.  Raises ConfigError."""
    text = str(written).strip()
    if re.fullmatch(r"\d{9,11}(\.0+)?", text):
        return int(text.partition(".")[0]) * MILLISECONDS
    return milliseconds(_moment(text.removesuffix(" UTC") + "Z" if text.endswith(" UTC") else text, where))


def milliseconds(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return round(moment.timestamp() * MILLISECONDS)


def _moment(written: Any, where: tzinfo) -> datetime:
    try:
        moment = datetime.fromisoformat(str(written).strip())
        return moment if moment.tzinfo else moment.replace(tzinfo=where)
    except (ValueError, OverflowError):
        raise ConfigError(f"{written!r} is no date") from None
