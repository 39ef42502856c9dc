"""Journal entries and shelf documents as text, the same in every store."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from weighbridge.core.errors import ConfigError, StoreCorrupt
from weighbridge.core.ledger import Charge, Entry
from weighbridge.ledger.upkeep import placed

STAMPED = ("at", "cursor")
"""What the store itself fills in."""
_BLANK = Entry(id="")
_KNOWN = frozenset(field.name for field in fields(Entry))
_WRITTEN = tuple((name, getattr(_BLANK, name)) for name in sorted(_KNOWN - {"id", "tags", "charges", *STAMPED}))
_write = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


def entry_text(entry: Entry, charges: tuple[Charge, ...]) -> str:
    """Compact JSON of an entry, fields at their default left out.  Its charges are those of the
    settlement itself, so that the journal adds up to what was charged."""
    line: dict[str, Any] = {"id": entry.id}
    for name, blank in _WRITTEN:
        value = getattr(entry, name)
        if value != blank:
            line[name] = value
    line["tags"] = dict(entry.tags)
    line["charges"] = [(placed(charge.counter)[0], charge.amount) for charge in charges]
    return document_text(line, f"the journal entry of {entry.id!r}")


def entry_of(text: str | bytes, cursor: str) -> Entry:
    """The entry a journal line holds.  Raises StoreCorrupt where it is none."""
    try:
        line = json.loads(text)
        line["charges"] = tuple((name, amount) for name, amount in line["charges"])
        at = int(cursor.partition("-")[0])
        return Entry(**{**{k: v for k, v in line.items() if k in _KNOWN}, "at": at, "cursor": cursor})
    except (ValueError, TypeError, KeyError) as error:
        raise StoreCorrupt(f"journal entry {cursor} is not one the ledger wrote: {error}") from error


def document_text(document: Any, what: str) -> str:
    """JSON of a document.  Raises ConfigError for what JSON cannot say."""
    try:
        return _write(document)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{what} cannot be kept as JSON: {error}") from error


def document_of(text: str | bytes, where: str) -> Any:
    """The document a text holds.  Raises StoreCorrupt where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise StoreCorrupt(f"{where} is not JSON: {error}") from error
