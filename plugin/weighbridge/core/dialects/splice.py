"""Edit members of a JSON object in its own text; every other byte stays as it was sent.

Parsing and printing again would change number spellings, blanks and escapes, and with them what
providers cache by prefix.  The body must have passed `body.decode` before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, Final

from weighbridge.core.model import Json

Path = str | tuple[str, ...]
Changes = dict[Path, Any]
BLANKS = " \t\n\r"


class _Drop:
    """The type of DROP."""


DROP: Final = _Drop()
"""As a change: leave the member out."""


@dataclass(frozen=True, slots=True)
class _Span:
    key: str
    start: int
    value: int
    end: int


class _Inside(dict[str, Any]):
    """Changes to members of a member."""


def splice(body: bytes, changes: Mapping[Path, Json | _Drop]) -> bytes:
    """`body` with each named member set (or dropped).  A tuple names a member of a member; objects
    missing on the way are made.  New members stand right behind their object's opening brace."""
    text = body.decode("utf-8")
    edits = sorted(_edits(text, _skip(text, 0), _tree(changes)))
    pieces: list[str] = []
    at = 0
    for start, end, new in edits:
        pieces += (text[at:start], new)
        at = end
    return "".join((*pieces, text[at:])).encode("utf-8")


def keep_items(body: bytes, key: str, keep: frozenset[int]) -> bytes:
    """`body` with only the items of the array `body[key]` whose index is in `keep`, each as sent."""
    text = body.decode("utf-8")
    spans = _members(text, _skip(text, 0))
    array = next(span for span in spans if span.key == key)
    items = _items(text, array.value)
    kept = ",".join(text[start:end] for i, (start, end) in enumerate(items) if i in keep)
    return (text[: array.value] + "[" + kept + "]" + text[array.end :]).encode("utf-8")


def _tree(changes: Mapping[Path, Json | _Drop]) -> _Inside:
    tree = _Inside()
    for path, change in changes.items():
        *way, last = (path,) if isinstance(path, str) else path
        node = tree
        for step in way:
            node = node.setdefault(step, _Inside())
        node[last] = change
    return tree


def _edits(text: str, at: int, tree: _Inside) -> Iterator[tuple[int, int, str]]:
    """(start, end, replacement) for the object whose brace is at `at`."""
    spans = _members(text, at)
    known = {span.key: span for span in spans}
    for key in known.keys() & tree.keys():
        span, change = known[key], tree[key]
        if isinstance(change, _Inside) and text[span.value] == "{":
            yield from _edits(text, span.value, change)
        elif change is not DROP:
            yield span.value, span.end, _print(change)
    yield from _cuts(spans, tree)
    new = _print(_Inside({key: change for key, change in tree.items() if key not in known}))[1:-1]
    if new:
        left = any(tree.get(key) is not DROP for key in known)
        yield at + 1, at + 1, new + ("," if left else "")


def _cuts(spans: list[_Span], tree: _Inside) -> Iterator[tuple[int, int, str]]:
    """Dropped members, each with one comma: the one behind it, or for the last ones the one before."""
    kept = [i for i, span in enumerate(spans) if tree.get(span.key) is not DROP]
    last = kept[-1] if kept else -1
    for i, span in enumerate(spans[: max(last, 0)]):
        if i not in kept:
            yield span.start, spans[i + 1].start, ""
    if last < len(spans) - 1:
        yield (spans[last].end if kept else spans[0].start), spans[-1].end, ""


def _print(change: Json) -> str:
    if isinstance(change, _Inside):
        return "{" + ",".join(f"{json.dumps(k)}:{_print(v)}" for k, v in change.items() if v is not DROP) + "}"
    return json.dumps(change, separators=(",", ":"))


def _members(text: str, at: int) -> list[_Span]:
    """The members of the object whose brace is at `at`."""
    spans: list[_Span] = []
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, after = scanstring(text, at + 1, True)
        value = _skip(text, _skip(text, after) + 1)
        end = _value_end(text, value)
        spans.append(_Span(key, at, value, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return spans


def _items(text: str, at: int) -> list[tuple[int, int]]:
    """(start, end) of the items of the array whose bracket is at `at`."""
    items: list[tuple[int, int]] = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        end = _value_end(text, at)
        items.append((at, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return items


_DECODER = json.JSONDecoder()


def _value_end(text: str, at: int) -> int:
    return _DECODER.raw_decode(text, at)[1]


def _skip(text: str, at: int) -> int:
    while text[at] in BLANKS:
        at += 1
    return at
