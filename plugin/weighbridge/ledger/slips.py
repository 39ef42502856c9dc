"""What a process writes down of calls the store has not settled yet: a line each, pure text.

    CRC ["open", ID, ...]    what the ledger is to be told should the process die now
    CRC ["owed", ID, ...]    what the ledger is to be told; it did not answer
    CRC ["over", ID]         the ledger knows

The last line of an id counts.  A line whose checksum (CRC-32) is wrong is torn: it says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Literal
from zlib import crc32

from weighbridge.core.ledger import Charge, Counter, Entry, Settle
from weighbridge.ledger.journal import document_text

Kind = Literal["open", "owed"]
SUM: Final = 8
"""Digits of a checksum."""
NAMES: Final = tuple(field.name for field in fields(Entry) if field.name not in ("tags", "charges", "at", "cursor"))
"""What an entry says beside its tags; its charges are those of the settlement."""
_said = attrgetter(*NAMES)
_BLANK: Final = _said(Entry(id=""))


@dataclass(frozen=True, slots=True)
class Left:
    """What the lines of a file come to."""

    unsettled: Mapping[str, Settle]
    """By id, in the order first written."""
    owed: int = 0
    """How many of them the store was asked to settle, and did not answer; the rest were still open."""
    torn: tuple[bytes, ...] = ()
    """Lines nobody can read."""


def unsettled(kind: Kind, verb: Settle) -> bytes:
    """The line of a call that is open or owed.  Raises ConfigError for what JSON cannot say."""
    entry: dict[str, Any] | None = None
    if verb.entry is not None:
        said = zip(NAMES, _said(verb.entry), _BLANK, strict=True)
        entry = {name: value for name, value, blank in said if value != blank}
        entry["tags"] = dict(verb.entry.tags)
    charges = [(charge.counter.field, charge.amount) for charge in verb.charges]
    return _line([kind, verb.id, charges, entry, verb.output, verb.histories])


def over(id: str) -> bytes:
    """The line of a call that is settled."""
    return _line(["over", id])


def read(text: bytes) -> Left:
    """What lines, in the order written, leave to be settled."""
    found: dict[str, Settle] = {}
    owed: set[str] = set()
    torn = []
    for line in filter(None, text.split(b"\n")):
        try:
            kind, id, verb = _parsed(line)
        except (ValueError, TypeError):
            torn.append(line)
            continue
        if verb is None:
            found.pop(id, None)
        else:
            found[id] = verb
        (owed.add if kind == "owed" else owed.discard)(id)
    return Left(found, len(owed), tuple(torn))


def _line(document: list[Any]) -> bytes:
    text = document_text(document, "a settlement").encode()
    return b"%08x %s\n" % (crc32(text), text)


def _parsed(line: bytes) -> tuple[str, str, Settle | None]:
    if len(line) <= SUM or int(line[:SUM], 16) != crc32(line[SUM + 1 :]):
        raise ValueError("the checksum is wrong")
    kind, id, *rest = json.loads(line[SUM + 1 :])
    if kind == "over":
        return kind, id, None
    if kind not in ("open", "owed"):
        raise ValueError(f"{kind!r} is written by another version")
    charged, said, output, histories = rest
    charges = tuple(Charge(Counter.parse(field), amount) for field, amount in charged)
    entry = None if said is None else Entry(**said, charges=tuple((name, amount) for name, amount in charged))
    return kind, id, Settle(id, charges, entry, output=output, histories=tuple(histories))
