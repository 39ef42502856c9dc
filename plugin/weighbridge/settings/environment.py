"""The environment laid over a tree: WEIGHBRIDGE_ variables, and ${NAME} inside the file's values."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weighbridge.core.errors import ConfigError
from weighbridge.settings.source import Trail, Tree

PREFIX = "WEIGHBRIDGE_"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_NOT_A_NAME = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Unset:
    """Stands where a value asked for a variable that is not set (or empty)."""

    variable: str


def fill(value: Any, environ: Mapping[str, str]) -> Any:
    """The value with each ${NAME} and ${NAME:-default} in its texts replaced; Unset where that cannot be."""
    if isinstance(value, dict):
        return {key: fill(inner, environ) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, environ) for inner in value]
    if not isinstance(value, str):
        return value
    for found in _REFERENCE.finditer(value):
        if not environ.get(found[1]) and found[2] is None:
            return Unset(found[1])
    return _REFERENCE.sub(lambda found: environ.get(found[1]) or found[2], value)


def unset(value: Any, trail: Trail = ()) -> Iterable[tuple[Trail, Unset]]:
    """Every Unset in the tree, with the way to it."""
    if isinstance(value, Unset):
        yield trail, value
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in children:
        yield from unset(inner, (*trail, key))


def overlay(tree: Tree, environ: Mapping[str, str], settings: Mapping[str, bool]) -> tuple[str, ...]:
    """Lay WEIGHBRIDGE_STORE, WEIGHBRIDGE_COUNTING__REMOTE, ... over the tree.

    `settings` are the names known at the top, and whether each is a block.  Other variables are let
    alone, since a cluster may set some of its own (WEIGHBRIDGE_SERVICE_HOST); those that look like
    a slip of the pen are answered as notes.
    """
    notes = []
    for variable in sorted(environ):
        written = environ[variable]
        if not variable.startswith(PREFIX) or not written:
            continue
        first, *rest = variable.removeprefix(PREFIX).split("__")
        top = first.lower()
        if top not in settings:
            notes += _slip(variable, first, settings)
        elif rest and settings[top]:
            tree.put(_trail(tree.data, (top, *rest)), written, variable)
        elif not rest:
            tree.put((top,), _block(written, variable) if settings[top] else written, variable)
        else:
            raise ConfigError(f"{variable}: {top} has no settings inside it; write {PREFIX}{first}")
    return tuple(notes)


def user_data_dir(environ: Mapping[str, str], platform: str) -> Path:
    """Where the embedded store keeps its data, when nothing else is said."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "weighbridge"
    if platform == "darwin":
        return home / "Library" / "Application Support" / "weighbridge"
    return home / ".local" / "share" / "weighbridge"


def _slip(variable: str, first: str, settings: Iterable[str]) -> list[str]:
    near = difflib.get_close_matches(first.lower(), [*settings, "config"], 1, 0.8)
    if not near or near == ["config"]:
        return []
    return [f"{variable} is not a setting and is ignored; did you mean {PREFIX}{near[0].upper()}?"]


def _trail(data: Any, names: tuple[str, ...]) -> Trail:
    """The way that a variable's words mean: MY_GROQ is `my-groq` where the file has that, else `my_groq`."""
    trail: list[str] = []
    for name in names:
        keys = data if isinstance(data, dict) else {}
        word = _NOT_A_NAME.sub("_", name.upper())
        key = next((k for k in keys if isinstance(k, str) and _NOT_A_NAME.sub("_", k.upper()) == word), name.lower())
        trail.append(key)
        data = keys.get(key)
    return tuple(trail)


def _block(written: str, variable: str) -> Any:
    """A whole block in one variable is JSON."""
    try:
        block = json.loads(written)
    except ValueError:
        block = None
    if isinstance(block, dict):
        return block
    raise ConfigError(f"{variable}: must be a JSON object; or set one value, e.g. {variable}__NAME")
