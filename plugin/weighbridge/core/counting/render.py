"""How OpenAI writes tools and schemas into the prompt, as its bills show it.

The shape is the public harmony renderer's; titles, defaults, inlining and joints were learned from
recorded bills (November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from weighbridge.core.model import Json, OutputSchema, Tool

Schema = Mapping[str, Any]
UNBILLED = frozenset({"additionalProperties", "required", "default", "minimum", "maximum", "maxItems"})
"""Keywords left out of an output schema before it is written into the prompt."""
MOST_TYPES = 20_000
"""Types written for one function; references can multiply a small schema without end."""
PLAIN = {"integer": "number", "object": "object", "array": "any[]"}


def compact(value: Json, ascii_only: bool = False) -> str:
    """A value as JSON without blanks."""
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))


def tools(offered: Iterable[Tool]) -> str:
    """The block that offers functions to the model."""
    functions = "\n\n".join(_function(tool) for tool in offered)
    return f"# Tools\n\n## functions\n\nnamespace functions {{\n\n{functions}\n\n}} // namespace functions"


def output_schema(schema: OutputSchema) -> str:
    """The block that asks for structured output."""
    described = f"// {schema.description}\n" if schema.description else ""
    return f"# Response Formats\n\n## {schema.name}\n\n{described}{compact(_billed(schema.schema), ascii_only=True)}"


def _billed(value: Json, named: bool = False) -> Json:
    """A schema without what is not billed.  `named`: the keys are property names, not keywords."""
    if isinstance(value, Mapping):
        return {
            key: _billed(item, named=not named and key in ("properties", "$defs", "definitions"))
            for key, item in value.items()
            if named or key not in UNBILLED
        }
    return [_billed(item) for item in value] if isinstance(value, list) else value


def _function(tool: Tool) -> str:
    writer = _Writer(tool.schema)
    head = "".join(line + "\n" for line in _comment(tool.description))
    if not tool.schema.get("properties"):
        return f"{head}type {tool.name} = () => any;"
    return f"{head}type {tool.name} = (_: {writer.titled(tool.schema, ())}) => any;"


def _comment(text: Json) -> list[str]:
    if not isinstance(text, str):
        return []
    return [f"// {line.lstrip()}" for line in text.rstrip().split("\n") if line.strip()]


def _head(schema: Schema) -> list[str]:
    """Title and description, as they stand before a type."""
    title, description = _comment(schema.get("title")), _comment(schema.get("description"))
    return [*title, *(["//"] if title and description else []), *description]


def _form(schema: Schema) -> str:
    return f"\n// format: {schema['format']}" if "format" in schema else ""


def target(root: Schema, ref: str) -> Schema | None:
    """What a local reference ("#/$defs/Pet") points to."""
    found: Json = root
    for step in ref.removeprefix("#").strip("/").split("/"):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


class _Writer:
    """Writes one function's schema as TypeScript; knows the root its `$ref`s point into."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = MOST_TYPES

    def titled(self, schema: Schema, trail: tuple[str, ...]) -> str:
        """A type, with the object's title on a line before it."""
        written = self.type(schema, trail)
        return "\n".join([*_head(schema), written]) if written.startswith("{") else written

    def type(self, schema: Json, trail: tuple[str, ...]) -> str:
        """A schema's type.  `trail` holds the references being followed: a recursive one is `any`."""
        self._left -= 1
        if not isinstance(schema, Mapping) or self._left < 0:
            return "any"
        if isinstance(ref := schema.get("$ref"), str):
            found = None if ref in trail else target(self._root, ref)
            return "any" if found is None else self.titled(found, (*trail, ref))
        for word in ("anyOf", "oneOf"):
            if isinstance(choices := schema.get(word), list):
                return self._union(choices, trail)
        if isinstance(values := schema.get("enum"), list):
            return " | ".join(compact(value) for value in values)
        return compact(schema["const"]) if "const" in schema else self._named(schema, trail)

    def _union(self, choices: list[Json], trail: tuple[str, ...]) -> str:
        """One of several; each on a line of its own where one of them takes several."""
        written = [self.titled(c, trail) + _form(c) if isinstance(c, Mapping) else "any" for c in choices]
        if any("\n" in one for one in written):
            return "".join(f"\n | {one}" for one in written) + "\n"
        return " | ".join(written)

    def _named(self, schema: Schema, trail: tuple[str, ...]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self.type({**schema, "type": one}, trail) for one in kind)
        if kind == "array" and "items" in schema:
            item = schema["items"]
            inner = self.titled(item, trail) if isinstance(item, Mapping) else "any"
            return f"Array<\n{inner}\n>" if "\n" in inner else f"{inner}[]"
        if schema.get("properties") and kind in ("object", None):
            return self._object(schema, trail)
        return PLAIN.get(kind, kind) if isinstance(kind, str) else "any"

    def _object(self, schema: Schema, trail: tuple[str, ...]) -> str:
        listed = schema.get("required")
        required = listed if isinstance(listed, list) else []
        properties = schema["properties"] if isinstance(schema["properties"], Mapping) else {}
        written = [self._property(name, item, name in required, trail) for name, item in properties.items()]
        if not any("//" in one or "\n" in one for one in written):
            return "{" + ", ".join(one.removesuffix(",") for one in written) + "}"
        return "\n".join(["{", *written, "}"])

    def _property(self, name: str, schema: Json, required: bool, trail: tuple[str, ...]) -> str:
        item: Schema = schema if isinstance(schema, Mapping) else {}
        head, description = _head(item), _comment(item.get("description"))
        default = f" // default: {compact(item['default'])}" if "default" in item else ""
        mark = "" if required else "?"
        if isinstance(kinds := item.get("type"), list) and description:
            one_by_one = ([*description, f" | {self.type({**item, 'type': kind}, trail)}"] for kind in kinds)
            return "\n".join([*head, f"{name}{mark}:", *chain.from_iterable(one_by_one), f",{default}"])
        written = self.type(item, trail) + _form(item)
        gap = "" if written.startswith("\n") else "\n" if written.startswith("//") else " "
        return "\n".join([*head, f"{name}{mark}:{gap}{written},{default}"])
