"""Request bodies: read them strictly, edit them without touching what is not edited.

Everything here raises `Refused("malformed")`, with the fix in the message, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from weighbridge.core.errors import Refused
from weighbridge.core.model import Json

T = TypeVar("T")
D = TypeVar("D")
MOST_TOKENS = 2**31
LONGEST_NAME = 256
DEEPEST = 128
"""Levels of nesting.  Far above any schema in use, far below Python's own recursion limit."""

WEIGHTY = frozenset(
    ("model", "messages", "input", "prompt", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of",
     "stream", "stream_options", "service_tier", "tools")
)  # fmt: skip
"""Members that decide what a call costs, and that are the same in any letters to servers written in Go."""

KINDS: Mapping[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


def malformed(message: str, param: str | None = None) -> NoReturn:
    """Refuse a body the provider would refuse too."""
    raise Refused("malformed", message, param=param)


def decode(body: bytes) -> dict[str, Any]:
    """A JSON object from bytes.  Stricter than providers where they disagree among themselves."""
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        malformed(f"The body is not valid UTF-8 (byte {error.start}). Send JSON encoded as UTF-8.")
    except json.JSONDecodeError as error:
        malformed(f"The body is not valid JSON: {error}. Send one JSON object.")
    except RecursionError:
        malformed(f"The body is nested too deeply. Use at most {DEEPEST} levels.")
    except ValueError:
        malformed("The body holds an integer with too many digits. Send numbers a provider can read.")
    if not isinstance(value, dict):
        malformed(f"The body is {_kind(value)}, not an object. Send one JSON object.")
    _in_small_letters(value)
    opened = body.count(b"{") + body.count(b"[")
    if opened > DEEPEST and any(depth == DEEPEST for depth, _ in enumerate(_levels(value))):
        malformed(f"The body is nested too deeply. Use at most {DEEPEST} levels.")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        malformed(
            f"The key {json.dumps(twice[:80])} is given twice in one object, and providers disagree on which one"
            " wins. Send it once.",
            twice[:80],
        )
    return found


def _in_small_letters(body: Mapping[str, Any]) -> None:
    for key in body:
        if key not in WEIGHTY and (plain := key.casefold()) in WEIGHTY:
            malformed(f"{json.dumps(key)} is read as {json.dumps(plain)} by some providers only. Write it so.", key)


def _no_constant(name: str) -> NoReturn:
    malformed(f"{name} is not JSON. Send a finite number or leave the field out.")


def _levels(value: Json) -> Iterator[list[Json]]:
    """The objects and arrays of a JSON value, level by level."""
    level = [value]
    while level:
        yield level
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]


def everywhere(body: Mapping[str, Any], key: str, sent: bytes) -> list[Json]:
    """Every value that stands under a key in a body, however deep.  `sent` is the body's text, which says
    soonest where the key is nowhere; escapes may spell it."""
    if key.encode() not in sent and b"\\u" not in sent:
        return []
    return [node[key] for level in _levels(body) for node in level if type(node) is dict and key in node]


def want(body: Mapping[str, Any], key: str, kind: type[T], default: D, where: str = "") -> T | D:
    """`body[key]` if it is of `kind`; `default` where it is absent or null.  `where` is the path of
    `body` in the request, with its last dot ("messages[0].")."""
    value = body.get(key)
    return default if value is None else expect(value, kind, where + key)


def need(body: Mapping[str, Any], key: str, kind: type[T], where: str = "") -> T:
    """`body[key]`, which must be there and of `kind`."""
    if body.get(key) is None:
        malformed(f"Missing required parameter: '{where}{key}'. Give it as {KINDS[kind]}.", where + key)
    return expect(body[key], kind, where + key)


def expect(value: Json, kind: type[T], param: str) -> T:
    """`value` itself if it is of `kind`.  true and false are not integers."""
    if isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool):
        return value
    malformed(f"Invalid type for '{param}': it is {_kind(value)}. Give {KINDS[kind]}.", param)


def objects(body: Mapping[str, Any], key: str, where: str = "") -> list[dict[str, Any]]:
    """The objects of the array `body[key]`; [] where it is absent or null."""
    items = want(body, key, list, [], where)
    if set(map(type, items)) <= {dict}:
        return items
    return [expect(item, dict, f"{where}{key}[{i}]") for i, item in enumerate(items)]


def positive_int(body: Mapping[str, Any], key: str, where: str = "") -> int | None:
    """A count of at least 1; None where it is absent or null."""
    value = body.get(key)
    if value is None:
        return None
    number = expect(value, int, where + key)
    if not 1 <= number <= MOST_TOKENS:
        malformed(f"Invalid value for '{where}{key}': {str(number)[:20]}. Give an integer from 1 on.", where + key)
    return number


def model_of(body: Mapping[str, Any], path: str | None) -> str:
    """The model: the path's, else the body's.  It goes into headers, keys and reports, so it is short
    and printable."""
    name = path or need(body, "model", str)
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        malformed(f"Invalid value for 'model'. Give a name of at most {LONGEST_NAME} printable characters.", "model")
    return name


def compact(value: Json) -> str:
    """JSON text without blanks: how an object is counted where its original text is not at hand."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _kind(value: Json) -> str:
    return "null" if value is None else KINDS.get(type(value), "something else")


def rfc3339(ms: int) -> str:
    """Milliseconds since the epoch as "2026-01-31T23:59:59Z" (with milliseconds where there are any)."""
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
