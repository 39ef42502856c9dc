"""The codec of the audit's verbs (`core.books`): lenient where the others are strict."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

from weighbridge.core.books import (
    Amounts,
    Book,
    Figures,
    Leaf,
    Mend,
    Number,
    Page,
    Recount,
    Recounted,
    Row,
    Step,
    amount,
)
from weighbridge.core.ledger import LARGEST, Counter, Unit
from weighbridge.ledger.upkeep import purge_at

Word = str | int | bytes
LETTERS: Final[Mapping[Number, str]] = {"spent": "s", "held": "h", "base": "b"}
"""A counter's number -> the letter before its field."""
KINDS: Final = {letter: kind for kind, letter in LETTERS.items()}
MOST_OPEN: Final = 50_000
"""Open holds added up in one step: more would keep other calls waiting."""
HEAD: Final = 500
"""Journal entries told with a recount."""
FIELD: Final = re.compile(rf"[^|]*\|({'|'.join(get_args(Unit))})\|[^|]*\|[^|]*\|\d+\|\d+\|\d+", re.ASCII)
ASIDE: Final = ("aside", *(f"aside:{book}" for book in ("counters", "holds", "leases", "due", "journal")))
"""Where mending puts what it takes out: records, and each book as a whole."""
STATES: Final = ("open", "expired", "ended")


def page_words(verb: Page, key: str) -> tuple[Word, ...]:
    """The command that asks for a page."""
    if verb.book == "journal":
        return ("XRANGE", key, f"({verb.cursor}" if verb.cursor else "-", "+", "COUNT", verb.most)
    scan = "HSCAN" if verb.book in ("counters", "holds") else "ZSCAN"
    return (scan, key, verb.cursor or 0, "COUNT", verb.most)


def recount_words(verb: Recount) -> tuple[Word, ...]:
    """What recount.lua takes behind the prelude's terms."""
    return (MOST_OPEN, HEAD, len(verb.fields), *map(_sent, (*verb.fields, *verb.ids)))


def mend_words(verb: Mend) -> tuple[Word, ...]:
    """What mend.lua takes behind the prelude's terms."""
    return tuple(word for step in verb.steps for word in _step(step))


def _step(step: Step) -> tuple[Word, ...]:
    name = f"{LETTERS[step.number]}:{step.name}" if step.number else step.name
    return (step.way, _sent(name), _sent(step.found), step.amount, step.purge)


def _sent(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def page_of(verb: Page, reply: Any) -> Leaf:
    """The page in a reply."""
    if verb.book == "journal":
        rows = tuple(_line(cursor, fields) for cursor, fields in reply)
        return Leaf(rows, rows[-1].name if len(rows) == verb.most else "")
    cursor, flat = reply
    pairs = zip(map(said, flat[::2]), map(said, flat[1::2]), strict=True)
    rows = tuple(READERS[verb.book](name, text) for name, text in pairs)
    return Leaf(rows, "" if cursor == b"0" else said(cursor))


def recounted_of(verb: Recount, reply: Any) -> Recounted:
    """The recount in a reply."""
    now, whole, numbers, records, head, last = reply
    figures = tuple(_figures(field, *numbers[4 * i : 4 * i + 4]) for i, field in enumerate(verb.fields))
    holds = tuple(_held(id, *records[2 * i : 2 * i + 2]) for i, id in enumerate(verb.ids))
    rows = tuple(_line(cursor, fields) for cursor, fields in head)
    return Recounted(now, figures, holds, rows, said(last), whole == 1)


def mended_of(verb: Mend, reply: Any) -> tuple[bool, ...]:
    """For each step whether it was done."""
    return tuple(done == 1 for done in reply)


def _figures(field: str, spent: Any, held: Any, base: Any, added: bytes) -> Figures:
    return Figures(_kept(spent), _kept(held), _kept(base), int(added), purge(field))


def _kept(text: bytes | None) -> str | None:
    return None if text is None else said(text)


def _held(id: str, record: bytes | None, ends: bytes | None) -> tuple[Row | None, int | None]:
    text, end = _kept(record), _kept(ends)
    return None if text is None else hold_row(id, text), None if end is None else _ends(end)


def _line(cursor: bytes, fields: Sequence[bytes]) -> Row:
    return entry_row(said(cursor), said(fields[1]) if len(fields) == 2 else " ".join(map(said, fields)))


def said(text: bytes) -> str:
    """A record's bytes as text; what is no UTF-8 stays as it is."""
    return text.decode("utf-8", "surrogateescape")


def counter_row(name: str, text: str) -> Row:
    """One of a counter's numbers."""
    kind, field = KINDS.get(name[:1], ""), name[2:]
    if name[1:2] != ":" or not kind or not FIELD.fullmatch(field):
        return Row(name, text)
    value = amount(text)
    return Row(name, text, kind, None if value is None else ((field, value),))


def hold_row(id: str, text: str) -> Row:
    """A hold's record, see sweep.lua."""
    words = text.split(" ")
    if len(words) < 3 or len(words) % 2 == 0 or words[0] != "1" or words[1] not in STATES or amount(words[2]) is None:
        return Row(id, text)
    fields, amounts = words[3::2], [amount(word) for word in words[4::2]]
    pairs = tuple((field, n) for field, n in zip(fields, amounts, strict=True) if n is not None and "|" in field)
    return Row(id, text, words[1], pairs) if len(pairs) == len(fields) else Row(id, text)


def lease_row(id: str, text: str) -> Row:
    """A lease and when it ends (milliseconds)."""
    ends = _ends(text)
    return Row(id, text, "", None if ends is None else (("", ends),))


def entry_row(cursor: str, text: str) -> Row:
    """A journal line and what it charged."""
    try:
        charges = json.loads(text)["charges"]
        pairs: Amounts = tuple((field, n) for field, n in charges)
    except (ValueError, TypeError, KeyError, RecursionError):
        return Row(cursor, text)
    sound = all(type(n) is int and 0 <= n <= LARGEST and FIELD.fullmatch(field) for field, n in pairs)
    return Row(cursor, text, "", pairs) if sound else Row(cursor, text)


def purge(field: str) -> int:
    """When a counter may be forgotten; 0: never, or it is none."""
    return purge_at(Counter.parse(field)) if FIELD.fullmatch(field) else 0


def _ends(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


READERS: Final[Mapping[Book, Callable[[str, str], Row]]] = {
    "counters": counter_row,
    "holds": hold_row,
    "leases": lease_row,
    "due": lease_row,
    "journal": entry_row,
}
"""Book -> how one of its records is read."""
