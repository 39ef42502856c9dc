"""What validation found wrong, as one line: place, setting, what it must be, what to write."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from weighbridge.core.errors import ConfigError
from weighbridge.core.policy.reading import shown
from weighbridge.settings.model import Counting, Limits, ModelOverride, Provider, Settings, Streams
from weighbridge.settings.source import Trail, Tree

BLOCKS: Mapping[str, tuple[type[BaseModel], int]] = {
    "providers": (Provider, 2),
    "models": (ModelOverride, 2),
    "counting": (Counting, 1),
    "streams": (Streams, 1),
    "limits": (Limits, 1),
}
"""Setting -> (what its block, or each of its blocks, holds; how deep in the tree that begins)."""
_MAY_BE_SECRET = ("store", "admin_key", "providers")
"""Settings whose values no error shows: a key may stand anywhere in a mistyped provider."""
_KINDS: Mapping[str, str] = {
    "model_type": "a block of settings",
    "mapping_type": "a block of settings",
    "dict_type": "a block of settings",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "string_type": "text",
    "tuple_type": "a list",
    "too_short": "a list of at least one",
    "path_type": "a path",
}
_SAYINGS: Mapping[str, Callable[[Any], str]] = {
    "missing": lambda _: "is missing",
    "value_error": lambda context: str(context["error"]),
    "literal_error": lambda context: f"must be {context['expected']}",
    "greater_than": lambda context: f"must be above {context['gt']}",
    "greater_than_equal": lambda context: f"must be {context['ge']} or more",
    "less_than": lambda context: f"must be below {context['lt']}",
    "less_than_equal": lambda context: f"must be {context['le']} or less",
    "string_too_short": lambda _: "must not be empty",
}


def explain(error: ValidationError, tree: Tree) -> ConfigError:
    """The first fault as a ConfigError, and how many more there are."""
    first, *more = error.errors(include_url=False)
    trail = _in_tree(first["loc"], tree.data)
    if first["type"] == "extra_forbidden":
        said = _unknown(trail)
    else:
        said = _said(first["type"], first.get("ctx"), first["msg"]) + _found(trail, first) + _example(trail)
    if not trail:  # two settings that contradict each other: the message begins with one of them
        name, _, said = said.partition(": ")
        trail = (name,)
    rest = f" (and {len(more)} more)" if more else ""
    return tree.error(trail, said + rest)


def _said(kind: str, context: Any, message: str) -> str:
    if kind in _SAYINGS:
        return _SAYINGS[kind](context)
    return f"must be {_KINDS[kind]}" if kind in _KINDS else message


def _found(trail: Trail, fault: Any) -> str:
    """What was found instead, where it is a plain value and no secret."""
    if not trail or trail[0] in _MAY_BE_SECRET or fault["type"] in ("missing", "value_error"):
        return ""
    return f", not {shown(fault['input'])}" if isinstance(fault["input"], (str, int, float)) else ""


def _in_tree(location: tuple[int | str, ...], data: Any) -> Trail:
    """The part of a pydantic location that leads through the document (unions add words of their own)."""
    trail: list[int | str] = []
    for part in location:
        known = isinstance(data, dict) and part in data
        if not known and not isinstance(part, int) and not isinstance(data, dict):
            break
        trail.append(part)
        data = data[part] if known else None
    return tuple(trail)


def _model(trail: Trail) -> tuple[type[BaseModel], Trail]:
    """The block a trail leads into, and the rest of the way."""
    block, depth = BLOCKS.get(str(trail[0]) if trail else "", (Settings, 0))
    return (block, trail[depth:]) if len(trail) > depth else (Settings, trail)


def _unknown(trail: Trail) -> str:
    block, rest = _model(trail)
    known = [name for name in block.model_fields if (block, name) != (Provider, "name")]
    near = difflib.get_close_matches(str(rest[-1]), known, 1)
    return f"unknown setting: did you mean {near[0]!r}?" if near else f"unknown setting; known are {', '.join(known)}"


def _example(trail: Trail) -> str:
    block, rest = _model(trail)
    field = block.model_fields.get(str(rest[0])) if rest else None
    return f"; write e.g. `{field.examples[0]}`" if field and field.examples else ""
