"""Tools, the choice among them, and answer schemas, in OpenAI's formats.

Chat nests what a tool is under its type (`{"type": "function", "function": {...}}`), Responses does
not (`{"type": "function", "name": ...}`); both are read by the same words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.core.dialects.body import expect, malformed, need, objects, want
from weighbridge.core.model import Json, OutputSchema, Tool

WRITTEN_BY_CLIENT = ("function", "custom")
NESTED = (*WRITTEN_BY_CLIENT, "allowed_tools")
CHOICES: Mapping[str, str] = {"auto": "auto", "none": "none", "required": "required", "any": "required"}


def tools(body: Mapping[str, Any], key: str = "tools", where: str = "") -> tuple[Tool, ...]:
    """The tools of a request, those inside a namespace too."""
    found: list[Tool] = []
    for i, item in enumerate(objects(body, key, where)):
        at = f"{where}{key}[{i}]."
        kind = want(item, "type", str, "function", at)
        if kind == "namespace":
            found += tools(item, "tools", at)
        elif kind in WRITTEN_BY_CLIENT:
            found.append(_tool(item, kind, at))
        else:
            settings = {name: value for name, value in item.items() if name != "type"}
            found.append(Tool(want(item, "name", str, kind, at), schema=settings, server=kind))
    return tuple(found)


def function(item: Mapping[str, Any], where: str) -> Tool:
    """A function: `name`, `description`, `parameters`, `strict`."""
    return Tool(
        name=need(item, "name", str, where),
        description=want(item, "description", str, "", where),
        schema=want(item, "parameters", dict, {}, where),
        strict=want(item, "strict", bool, False, where),
    )


def _tool(item: Mapping[str, Any], kind: str, where: str) -> Tool:
    if item.get(kind) is not None:
        item, where = need(item, kind, dict, where), f"{where}{kind}."
    if kind == "function":
        return function(item, where)
    # A custom tool takes free text; the grammar it must follow is part of the prompt.
    grammar = want(item, "format", dict, {}, where)
    return Tool(need(item, "name", str, where), want(item, "description", str, "", where), grammar)


def choice(value: Json, param: str = "tool_choice") -> str:
    """`Call.tool_choice` from a word, a named tool, or a list of allowed ones."""
    if value is None:
        return "auto"
    if isinstance(value, str):
        if value not in CHOICES:
            malformed(f"Invalid value for '{param}': use one of {', '.join(CHOICES)}, or name a tool.", param)
        return CHOICES[value]
    wanted = expect(value, dict, param)
    kind = want(wanted, "type", str, "function", param + ".")
    if kind in NESTED:
        wanted = want(wanted, kind, dict, wanted, param + ".")
    if "mode" in wanted:
        return choice(wanted["mode"], f"{param}.mode")
    if kind in WRITTEN_BY_CLIENT:
        return "=" + need(wanted, "name", str, param + ".")
    return f"={kind}"


def schema(form: Mapping[str, Any], where: str) -> OutputSchema | None:
    """The schema of a `json_schema` form, nested (Chat) or not (Responses); None for other forms."""
    if want(form, "type", str, "text", where) != "json_schema":
        return None
    if form.get("json_schema") is not None:
        form, where = need(form, "json_schema", dict, where), where + "json_schema."
    return OutputSchema(
        name=want(form, "name", str, "", where),
        schema=want(form, "schema", dict, {}, where),
        description=want(form, "description", str, "", where),
    )
