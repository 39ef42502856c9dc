"""A good request with any of its values replaced by any other: it is read, or refused; nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, RawCall

FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
SCHEMA = {"name": "s", "schema": {"type": "object"}, "description": "d"}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "a", "name": "n"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}]},
        {"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}, {"type": "thinking", "thinking": []}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}], "audio": {}},
        {"role": "tool", "tool_call_id": "c", "content": "a"},
        {"role": "assistant", "function_call": {"name": "f", "arguments": ""}, "refusal": "", "reasoning": ""},
    ],
    "tools": [{"type": "function", "function": FUNCTION}, {"type": "custom", "custom": {"name": "g", "format": {}}}],
    "functions": [FUNCTION],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "web_search_options": {},
    "reasoning": {"effort": "low"},
    "stream": True,
    "stream_options": {"include_usage": True},
    "service_tier": "flex",
    "n": 1,
    "max_tokens": 5,
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "a",
    "input": [
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": "u"}, {"type": "input_file", "file_id": "x"}],
        },
        {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "summary": [{"text": "a"}], "encrypted_content": "E"},
        {"type": "tool_search_output", "tools": [{"type": "function", **FUNCTION}]},
        {"type": "item_reference", "id": "i"},
        {"type": "web_search_call", "action": {"query": "q"}},
    ],
    "previous_response_id": "r",
    "conversation": {"id": "c"},
    "prompt": {"id": "p"},
    "tools": [{"type": "namespace", "tools": [{"type": "function", **FUNCTION}]}, {"type": "web_search"}],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []},
    "text": {"format": {"type": "json_schema", **SCHEMA}},
    "reasoning": {"effort": "low"},
    "max_output_tokens": 20,
    "stream": False,
    "service_tier": "auto",
}
COMPLETIONS = {"model": "m", "prompt": ["a", [1, 2]], "n": 1, "best_of": 2, "suffix": "z", "stream_options": {}}
EMBEDDINGS = {"model": "m", "input": [[1, 2], "a"]}
GOOD: list[Any] = [
    pytest.param("openai-chat", CHAT, id="chat"),
    pytest.param("openai-responses", RESPONSES, id="responses"),
    pytest.param("openai-completions", COMPLETIONS, id="completions"),
    pytest.param("openai-embeddings", EMBEDDINGS, id="embeddings"),
]
OTHERS: list[Any] = [None, True, 0, -1, 1.5, "", "x", "\ud800", [], [None], [[]], ["x"], {}, {"type": "x"}, {"x": {}}]


def paths(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, child in inner for path in [(*way, key), *paths(child, (*way, key))]]


def replaced(body: Any, way: tuple[Any, ...], new: Any) -> bytes:
    """The body with one value replaced."""
    body = node = copy.deepcopy(body)
    for key in way[:-1]:
        node = node[key]
    node[way[-1]] = new
    return json.dumps(body).encode()


def read_or_refuse(name: str, body: bytes) -> None:
    """Read a body; only a refusal for being malformed may come of it."""
    try:
        assert isinstance(DIALECTS[name].parse(RawCall(name, body)), Call)
    except Refused as refused:
        assert refused.reason == "malformed"
        assert len(refused.message) < 400


@pytest.mark.parametrize(("name", "good"), GOOD)
def test_any_value_replaced(name: str, good: dict[str, Any]) -> None:
    assert isinstance(DIALECTS[name].parse(RawCall(name, json.dumps(good).encode())), Call)
    for way in paths(good):
        for new in OTHERS:
            read_or_refuse(name, replaced(good, way, new))


@given(st.sampled_from([param.values for param in GOOD]), st.data())
def test_any_two_values_replaced(chosen: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    name, good = chosen
    body = replaced(good, data.draw(st.sampled_from(paths(good))), data.draw(st.sampled_from(OTHERS)))
    again = json.loads(body)
    read_or_refuse(name, replaced(again, data.draw(st.sampled_from(paths(again))), data.draw(st.sampled_from(OTHERS))))
