"""A tree of values that remembers where each came from, and the YAML files it is read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from weighbridge.core.errors import ConfigError
from weighbridge.core.policy.reading import dotted

Trail = tuple[str | int, ...]
"""The way to a value: ("providers", "groq", "api_key")."""
_DEEPEST = 32
_MOST_VALUES = 100_000
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Tree:
    """Values as written, and the place of each ("weighbridge.yaml:12", "WEIGHBRIDGE_LISTEN", "--listen")."""

    data: dict[Any, Any] = field(default_factory=dict)
    places: dict[Trail, str] = field(default_factory=dict)

    def place(self, trail: Trail) -> str:
        """Where the value came from, or the nearest block around it."""
        for length in range(len(trail), -1, -1):
            if trail[:length] in self.places:
                return self.places[trail[:length]]
        return "settings"

    def error(self, trail: Trail, fix: str) -> ConfigError:
        """The one line that says where, what and how to mend it."""
        path = dotted(trail)
        return ConfigError(f"{self.place(trail)}: {path}: {fix}" if path else f"{self.place(trail)}: {fix}")

    def put(self, trail: Trail, value: Any, place: str) -> None:
        """Lay a value over the tree; the blocks of a mapping are laid over one by one."""
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                self.put((*trail, key), inner, place)
            return
        block = self.data
        for part in trail[:-1]:
            if not isinstance(block.get(part), dict):
                block[part] = {}
            block = block[part]
        block[trail[-1]] = value
        self.places[trail] = place


def read_file(path: str | Path) -> Tree:
    """A YAML file.  Raises ConfigError."""
    try:
        written = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    return parse(written, str(path))


def parse(written: str, name: str) -> Tree:
    """YAML text with safe tags, one document, no key twice.  Raises ConfigError."""
    try:
        loader = yaml.SafeLoader(written)
        node = loader.get_single_node()
        places = {} if node is None else _places(node, name)
        data = {} if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{name}:{line}: is not YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: is not YAML: {' '.join(str(error).split())}") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f'{name}:1: must be a mapping of settings to values; write e.g. `store: "embedded:"`')
    return Tree(data, {(): f"{name}:1"} | places)


def _places(root: yaml.Node, name: str) -> dict[Trail, str]:
    """The place of every value; refuses a key written twice."""
    places: dict[Trail, str] = {}
    waiting: list[tuple[Trail, yaml.Node]] = [((), root)]
    for _ in range(_MOST_VALUES):
        if not waiting:
            return places
        trail, node = waiting.pop()
        if len(trail) > _DEEPEST:
            raise ConfigError(f"{name}:{node.start_mark.line + 1}: is nested too deeply; at most {_DEEPEST} levels")
        for part, line, inner in _children(node, name):
            # A block's own words come before those it merges in with `<<`.
            places.setdefault((*trail, *part), f"{name}:{line}")
            waiting.append(((*trail, *part), inner))
    raise ConfigError(f"{name}: holds more than {_MOST_VALUES} values; split it")


def _children(node: yaml.Node, name: str) -> Iterator[tuple[Trail, int, yaml.Node]]:
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (index,), item.start_mark.line + 1, item
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                yield (), line, value
            elif str(key.value) in seen:
                first = seen[str(key.value)]
                raise ConfigError(f"{name}:{line}: {key.value!r} is written twice (first in line {first}); drop one")
            else:
                seen[str(key.value)] = line
                yield (key.value,), line, value
