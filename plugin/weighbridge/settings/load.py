"""From file, environment and arguments to Settings; from a file to policies."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from weighbridge.core.policy import parse as documents
from weighbridge.core.policy.model import Defaults, Policy
from weighbridge.core.policy.reading import PolicyError
from weighbridge.settings.environment import PREFIX, fill, overlay, unset, user_data_dir
from weighbridge.settings.faults import BLOCKS, explain
from weighbridge.settings.model import Settings, split_listen
from weighbridge.settings.providers import UNASKED, complete
from weighbridge.settings.source import Tree, parse, read_file

_MAY_BE_UNSET = (("admin_key",),)
"""Settings that count as not written where their ${NAME} is not set."""
_PATHS = (("policies",), ("data_dir",), ("counting", "calibration"))
"""Settings that are paths; in a file they are relative to it."""


def load(path: str | Path | None = None, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings: explicit argument > environment > file > default.

    `path` is the YAML file (None: the one WEIGHBRIDGE_CONFIG names, or no file); `environ` the
    environment (None: the process's own).  `overrides` are settings by name (`store=`, `auth=`,
    `counting={"remote": "never"}`), and `host=` and `port=` for the halves of `listen`; None is
    "not given".  Raises ConfigError, one line with place and fix, in which no secret shows.
    """
    environ = os.environ if environ is None else environ  # noqa: TID251 - the one reader of the environment
    path = path or environ.get(f"{PREFIX}CONFIG") or None
    tree = Tree({"providers": {name: {} for name in UNASKED}})
    if path is not None:
        tree = _from_file(Path(path), tree, environ)
    notes = overlay(tree, environ, {name: name in BLOCKS for name in Settings.model_fields})
    _override(tree, overrides)
    notes += complete(tree, environ)
    _refuse_unset(tree)
    tree.data.setdefault("data_dir", user_data_dir(environ, sys.platform))
    try:
        return Settings.model_validate(tree.data, context={"notes": notes})
    except ValidationError as error:
        raise explain(error, tree) from None


def load_policies(path: str | Path) -> tuple[tuple[Policy, ...], Defaults]:
    """The policies of a YAML file, and its defaults.  Raises ConfigError with file and line."""
    return _policies(read_file(path))


def read_policies(written: str, name: str) -> tuple[tuple[Policy, ...], Defaults]:
    """The same from text; `name` stands for the file in errors ("<stdin>")."""
    return _policies(parse(written, name))


def _policies(tree: Tree) -> tuple[tuple[Policy, ...], Defaults]:
    try:
        return documents.policies(tree.data)
    except PolicyError as error:
        raise tree.error(error.path, error.fix) from None


def _from_file(path: Path, base: Tree, environ: Mapping[str, str]) -> Tree:
    """The file's tree with its ${NAME} filled in; `base` stands where the file is silent."""
    tree = read_file(path)
    tree.data = base.data | fill(tree.data, environ)
    for *way, name in _PATHS:
        block = tree.data.get(way[0]) if way else tree.data
        if isinstance(block, dict) and isinstance(block.get(name), str) and block[name]:
            block[name] = path.absolute().parent / Path(block[name]).expanduser()
    _place_tokenizers(tree.data.get("models"), path.absolute().parent)
    return tree


def _place_tokenizers(models: Any, place: Path) -> None:
    """Tokenizers given as a path are relative to the file too; those given by name have no slash."""
    for model in models.values() if isinstance(models, dict) else ():
        written = model.get("tokenizer") if isinstance(model, dict) else None
        if isinstance(written, str) and "/" in written:
            model["tokenizer"] = str(place / Path(written).expanduser())


def _override(tree: Tree, overrides: Mapping[str, Any]) -> None:
    given = {name: value for name, value in overrides.items() if value is not None}
    ends = {name: given.pop(name) for name in ("host", "port") if name in given}
    for name, value in given.items():
        tree.put((name,), value, f"--{name.replace('_', '-')}")
    if not ends:
        return
    try:
        host, port = split_listen(str(tree.data.get("listen", Settings.model_fields["listen"].default)))
    except ValueError as error:
        raise tree.error(("listen",), f"{error}; write e.g. `listen: 127.0.0.1:4040`") from None
    host = str(ends.get("host", host))
    bracketed = f"[{host}]" if ":" in host and not host.startswith("[") else host
    tree.put(("listen",), f"{bracketed}:{ends.get('port', port)}", " ".join(f"--{name}" for name in ends))


def _refuse_unset(tree: Tree) -> None:
    for trail, missing in list(unset(tree.data)):
        if trail in _MAY_BE_UNSET:
            del tree.data[trail[0]]
            continue
        name = missing.variable
        raise tree.error(trail, f"{name} is not set; export {name}=... or write `${{{name}:-a default}}`")
