"""Journal entries as lines of an archive, and back: what was charged, by whom and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any, Final

from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import LARGEST, Charge, Counter, Entry, Settle
from weighbridge.core.model import Json

BLANK: Final = Entry("")
NAMES: Final = tuple(field.name for field in fields(Entry) if field.name not in ("at", "cursor"))


def line_of(entry: Entry) -> dict[str, Json]:
    """An entry as a document: when it was settled, then whatever is not at its default."""
    said = {name: getattr(entry, name) for name in NAMES if getattr(entry, name) != getattr(BLANK, name)}
    return {"at": rfc3339(entry.at), **said}


def settlement_of(line: Json) -> Settle:
    """The settlement that writes the entry again, at its own time.  Raises ConfigError for what is no such line."""
    try:
        if not isinstance(line, Mapping):
            raise ValueError("it is no object")
        known = {name: _like(name, line[name]) for name in NAMES if name in line}
        charges = tuple(_charge(*pair) for pair in line.get("charges", ()))
        at = datetime.fromisoformat(line["at"]).replace(tzinfo=UTC)
        entry = replace(Entry(**{**known, "charges": ()}), charges=tuple((c.counter.field, c.amount) for c in charges))
        return Settle(_named(entry.id), charges, entry, now=round(at.timestamp() * 1000))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ConfigError(f"is not an entry of `weighbridge journal export`: {error}") from error


def _named(id: str) -> str:
    if not id:
        raise ValueError("it has no id")
    return id


def _charge(field: str, amount: int) -> Charge:
    counter = Counter.parse(field)
    if counter.field != field or type(amount) is not int or not 0 <= amount <= LARGEST:
        raise ValueError(f"the charge {field} {amount!r}")
    return Charge(counter, amount)


def _like(name: str, value: Any) -> Any:
    """The value, where it is of the field's type."""
    wanted = Mapping if name == "tags" else list if name == "charges" else type(getattr(BLANK, name))
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ValueError(f"its {name} is {value!r}"[:80])
    return value
