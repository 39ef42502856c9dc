"""The codec of the audit's verbs (`core.books`): lenient where the others are strict."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_args

from weighbridge.core.books import (
    ROOT,
    Amounts,
    Book,
    Figures,
    Leaf,
    Mend,
    Number,
    Page,
    Recount,
    Recounted,
    Roots,
    Row,
    Step,
    amount,
)
from weighbridge.core.history import FULL
from weighbridge.core.ledger import LARGEST, Counter, Unit
from weighbridge.ledger.commands import Command, Keys, Word, pairs
from weighbridge.ledger.upkeep import Upkeep, purge_at

LETTERS: Final[Mapping[Number, str]] = {"spent": "s", "held": "h", "base": "b"}
"""A counter's number -> the letter before its field."""
KINDS: Final = {letter: kind for kind, letter in LETTERS.items()}
MOST_OPEN: Final = 50_000
"""Open holds added up in one step: more would keep other calls waiting."""
HEAD: Final = 500
"""Journal entries told with a recount."""
FIELD: Final = re.compile(rf"[^|]*\|({'|'.join(get_args(Unit))})\|[^|]*\|[^|]*\|-?\d+\|-?\d+\|\d+", re.ASCII)
MONEY: Final = ("counters", "holds", "leases", "due", "journal")
ASIDE: Final = ("aside", *(f"aside:{book}" for book in MONEY))
"""Where mending puts what it takes out: records, and each book as a whole."""
BINS: Final = 128
"""Of a history, at most."""
HISTORY: Final = re.compile(r"1 \d{1,16}((?: \d{1,3} \d{1,3})+)", re.ASCII)
STATES: Final = ("open", "expired", "ended")


def _roots(verb: Roots, prefix: str, upkeep: Upkeep) -> Command:
    # A single node keeps all in one root; what it is asked is whether it is there at all.
    [key] = Keys(prefix, ROOT).of("counters")
    return Command("", (key,), ("EXISTS", key))


def _page(verb: Page, prefix: str, upkeep: Upkeep) -> Command:
    [key] = Keys(prefix, verb.root).of(verb.book)
    if verb.book == "journal":
        start = f"({verb.cursor}" if verb.cursor else "-"
        return Command("", (key,), ("XRANGE", key, start, "+", "COUNT", verb.most))
    scan = "HSCAN" if verb.book in ("counters", "holds") else "ZSCAN"
    return Command("", (key,), (scan, key, verb.cursor or 0, "COUNT", verb.most))


def _recount(verb: Recount, prefix: str, upkeep: Upkeep) -> Command:
    names: tuple[Word, ...] = tuple(map(_sent, (*verb.fields, *verb.ids)))
    asked = (MOST_OPEN, HEAD, len(verb.fields), *names)
    return Command("recount", Keys(prefix, verb.root).of(*MONEY), (*_terms(verb, upkeep), *asked))


def _mend(verb: Mend, prefix: str, upkeep: Upkeep) -> Command:
    steps = (word for step in verb.steps for word in _step(step))
    return Command("mend", Keys(prefix, verb.root).of(*MONEY, *ASIDE), (*_terms(verb, upkeep), *steps))


def _terms(verb: Recount | Mend, upkeep: Upkeep) -> tuple[Word, ...]:
    return ("" if verb.now is None else verb.now, upkeep.retention_ms, 0)


def _step(step: Step) -> tuple[Word, ...]:
    name = f"{LETTERS[step.number]}:{step.name}" if step.number else step.name
    return (step.way, _sent(name), _sent(step.found), step.amount, step.purge)


def _sent(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _paged(verb: Page, command: Command, reply: Any) -> Leaf:
    if verb.book == "journal":
        rows = tuple(_line(cursor, fields) for cursor, fields in reply)
        return Leaf(rows, rows[-1].name if len(rows) == verb.most else "")
    cursor, flat = reply
    rows = tuple(READERS[verb.book](_text(name), _text(text)) for name, text in pairs(flat))
    return Leaf(rows, "" if cursor == b"0" else _text(cursor))


def _recounted(verb: Recount, command: Command, reply: Any) -> Recounted:
    now, whole, numbers, records, head, last = reply
    figures = tuple(_figures(field, *numbers[4 * i : 4 * i + 4]) for i, field in enumerate(verb.fields))
    holds = tuple(_held(id, *records[2 * i : 2 * i + 2]) for i, id in enumerate(verb.ids))
    rows = tuple(_line(cursor, fields) for cursor, fields in head)
    return Recounted(now, figures, holds, rows, _text(last), whole == 1)


def _mended(verb: Mend, command: Command, reply: Any) -> tuple[bool, ...]:
    return tuple(done == 1 for done in reply)


def _figures(field: str, spent: Any, held: Any, base: Any, added: bytes) -> Figures:
    return Figures(_kept(spent), _kept(held), _kept(base), int(added), purge(field))


def _kept(text: bytes | None) -> str | None:
    return None if text is None else _text(text)


def _held(id: str, record: bytes | None, ends: bytes | None) -> tuple[Row | None, int | None]:
    text, end = _kept(record), _kept(ends)
    return None if text is None else hold_row(id, text), None if end is None else _ends(end)


def _line(cursor: bytes, fields: Sequence[bytes]) -> Row:
    return entry_row(_text(cursor), _text(fields[1]) if len(fields) == 2 else " ".join(map(_text, fields)))


def _text(text: bytes) -> str:
    """A record's bytes as text; what is no UTF-8 stays as it is."""
    return text.decode("utf-8", "surrogateescape")


def counter_row(name: str, text: str) -> Row:
    """One of a counter's numbers, or a history."""
    if name.startswith("o:") and _is_history(text):
        return Row(name, text, "history", ())
    kind, field = KINDS.get(name[:1], ""), name[2:]
    if name[1:2] != ":" or not kind or not FIELD.fullmatch(field):
        return Row(name, text)
    value = amount(text)
    return Row(name, text, kind, None if value is None else ((field, value),))


def _is_history(text: str) -> bool:
    """Whether it is one as histories.lua takes it: bins ascending, with counts that are neither nothing nor full."""
    found = HISTORY.fullmatch(text)
    numbers = list(map(int, found[1].split())) if found else []
    bins, counts = numbers[::2], numbers[1::2]
    return bool(bins) and bins == sorted(set(bins)) and bins[-1] < BINS and all(0 < n < FULL for n in counts)


def hold_row(id: str, text: str) -> Row:
    """A hold's record, see books.lua."""
    version, state, *numbers = text.split(" ") if " " in text else ("", "")
    counts, fields, amounts = numbers[:2], numbers[2::2], numbers[3::2]
    sound = version == "1" and state in STATES and len(counts) == 2 and len(fields) == len(amounts)
    if not sound or None in map(amount, (*counts, *amounts)) or not all("|" in field for field in fields):
        return Row(id, text)
    return Row(id, text, state, tuple(zip(fields, map(int, amounts), strict=True)))


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

ENCODERS: Final[Mapping[type, Callable[[Any, str, Upkeep], Command]]] = {
    Roots: _roots,
    Page: _page,
    Recount: _recount,
    Mend: _mend,
}
"""By verb: of the verb, the keys' prefix and the terms of upkeep."""

DECODERS: Final[Mapping[type, Callable[[Any, Command, Any], Any]]] = {
    Roots: lambda verb, command, reply: (ROOT,),
    Page: _paged,
    Recount: _recounted,
    Mend: _mended,
}
