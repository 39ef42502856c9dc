"""Tools and schemas as OpenAI writes them into the prompt."""

from __future__ import annotations

from typing import Any

import pytest

from weighbridge.core.counting import render
from weighbridge.core.model import OutputSchema, Tool

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
PARAMETERS = [
    pytest.param({}, "() => any", id="no parameters"),
    pytest.param({"properties": {}}, "() => any", id="no properties"),
    pytest.param(
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["a"]},
        "(_: {a: string, b?: number}) => any",
        id="inline",
    ),
    pytest.param(
        {"properties": {"a": {"type": "string", "description": "One.\n\n  Two."}}},
        "(_: {\n// One.\n// Two.\na?: string,\n}) => any",
        id="description",
    ),
    pytest.param(
        {"title": "Args", "properties": {"a": {"title": "A", "description": "d", "type": "number", "default": None}}},
        "(_: // Args\n{\n// A\n//\n// d\na?: number, // default: null\n}) => any",
        id="titles and default",
    ),
    pytest.param(
        {
            "properties": {
                "a": {"enum": ["x", 1]},
                "b": {"const": True},
                "c": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            }
        },
        '(_: {a?: "x" | 1, b?: true, c?: null | string}) => any',
        id="choices",
    ),
    pytest.param(
        {
            "properties": {
                "a": {"type": "array", "items": {"type": "string"}},
                "b": {"type": "array"},
                "c": {"type": "object"},
            }
        },
        "(_: {a?: string[], b?: any[], c?: object}) => any",
        id="arrays",
    ),
    pytest.param(
        {"properties": {"a": {"type": "array", "items": {"properties": {"b": {"type": "string", "title": "B"}}}}}},
        "(_: {\na?: Array<\n{\n// B\nb?: string,\n}\n>,\n}) => any",
        id="array of objects",
    ),
    pytest.param(
        {
            "properties": {"a": {"$ref": "#/$defs/P"}},
            "$defs": {"P": {"title": "P", "properties": {"x": {"type": "null"}}}},
        },
        "(_: {\na?:\n// P\n{x?: null},\n}) => any",
        id="reference",
    ),
    pytest.param(
        {"title": "Args", "description": "All of them.", "properties": {"a": {"type": "string"}}},
        "(_: // Args\n//\n// All of them.\n{a?: string}) => any",
        id="description of the whole",
    ),
    pytest.param(
        {"properties": {"a": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}}},
        "(_: {\na?:\n | string\n// format: date\n | null\n,\n}) => any",
        id="a choice of several lines",
    ),
    pytest.param(
        {"properties": {"a": {"type": "string", "format": "date", "default": ""}}},
        '(_: {\na?: string\n// format: date, // default: ""\n}) => any',
        id="format",
    ),
    pytest.param(
        {"properties": {"a": {"type": ["string", "null"], "description": "d"}}},
        "(_: {\n// d\na?:\n// d\n | string\n// d\n | null\n,\n}) => any",
        id="described types",
    ),
    pytest.param(
        {"properties": {"a": {"$ref": "#/$defs/node"}}, "$defs": {"node": NODE}},
        "(_: {a?: {next?: any}}) => any",
        id="recursive reference",
    ),
    pytest.param(
        {"properties": {"a": 1, "b": {"$ref": "#/nowhere"}, "c": {"type": 3}}},
        "(_: {a?: any, b?: any, c?: any}) => any",
        id="nonsense",
    ),
]


@pytest.mark.parametrize(("schema", "expected"), PARAMETERS)
def test_function(schema: dict[str, Any], expected: str) -> None:
    block = render.tools([Tool("f", "Does.", schema)])
    head = "# Tools\n\n## functions\n\nnamespace functions {\n\n// Does.\ntype f = "
    assert block == f"{head}{expected};\n\n}} // namespace functions"


def test_blanks_around_a_description_are_free() -> None:
    assert render.tools([Tool("f", "  One. \n\n Two. \n")]) == render.tools([Tool("f", "One. \nTwo.")])


def test_references_that_multiply_are_cut() -> None:
    defs = {f"d{i}": {"properties": {k: {"$ref": f"#/$defs/d{i + 1}"} for k in "abcd"}} for i in range(40)}
    block = render.tools([Tool("f", "", {"properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": defs})])
    assert len(block) < 2_000_000


def test_output_schema_leaves_out_what_is_not_billed() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["required"],
        "properties": {"required": {"type": "integer", "minimum": 1, "description": "\u2013"}},
    }
    written = '{"type":"object","properties":{"required":{"type":"integer","description":"\\u2013"}}}'
    assert render.output_schema(OutputSchema("answer", schema)) == f"# Response Formats\n\n## answer\n\n{written}"
