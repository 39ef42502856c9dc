from __future__ import annotations

import json
from typing import Any

import pytest

from weighbridge.core.dialects.base import Amendment
from weighbridge.core.dialects.openai_responses import DIALECT
from weighbridge.core.errors import Refused
from weighbridge.core.model import (
    Call,
    CutOff,
    Media,
    Message,
    OutputSchema,
    RawCall,
    Reported,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
    Usage,
)


def parse(**members: Any) -> Call:
    """A responses request with these members beside a model and an input."""
    body = {"model": "gpt-5", "input": "Hello", **members}
    return DIALECT.parse(RawCall("openai-responses", json.dumps(body).encode()))


ITEMS: list[Any] = [
    ({"role": "user", "content": "a"}, Message("user", (Text("a"),))),
    ({"type": "message", "role": "developer", "content": "a"}, Message("system", (Text("a"),))),
    ({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
     Message("assistant", (Text("a"),))),
    ({"role": "user", "content": [{"type": "input_image", "image_url": "https://x/y.png", "detail": "high"}]},
     Message("user", (Media("image", url="https://x/y.png", detail="high"),))),
    ({"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]},
     Message("user", (Unseen("image file file-1"),))),
    ({"role": "user", "content": [{"type": "input_file", "file_url": "https://x/y.pdf"}]},
     Message("user", (Media("document", url="https://x/y.pdf"),))),
    ({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"},
     Message("assistant", (ToolCall("f", "{}", "c"),))),
    ({"type": "function_call_output", "call_id": "c", "output": "42"},
     Message("tool", (ToolResult((Text("42"),), id="c"),))),
    ({"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "4"}]},
     Message("tool", (ToolResult((Text("4"),), id="c"),))),
    ({"type": "computer_call_output", "call_id": "c", "output": {"a": 1}},
     Message("tool", (ToolResult((Text('{"a":1}'),), id="c"),))),
    ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "E"},
     Message("assistant", (Thinking("hm", "E"),))),
    ({"type": "item_reference", "id": "msg_1"}, Message("assistant", (Unseen("item msg_1"),))),
    ({"type": "compaction", "encrypted_content": "E"}, Message("assistant", (Thinking("", "E"),))),
    ({"type": "web_search_call", "id": "w", "action": {"query": "q"}},
     Message("assistant", (ToolCall("web_search", '{"query":"q"}'),))),
    ({"type": "sculpture", "x": 1}, Message("assistant", (Text('{"type":"sculpture","x":1}'),))),
]  # fmt: skip


@pytest.mark.parametrize(("item", "expected"), ITEMS, ids=lambda value: str(value)[:60])
def test_input_items(item: dict[str, Any], expected: Message) -> None:
    assert parse(input=[item]).messages == (expected,)


USER = Message("user", (Text("Hello"),))
FORM = {"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": True}}
SPACE = {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]}
READ: list[Any] = [
    ({}, "messages", (USER,)),
    ({"input": None, "instructions": "Hi"}, "messages", (Message("system", (Text("Hi"),)),)),
    ({"instructions": "Be"}, "messages", (Message("system", (Text("Be"),)), USER)),
    ({"instructions": ""}, "messages", (Message("system", (Text(""),)), USER)),
    ({"instructions": None}, "messages", (USER,)),
    ({"previous_response_id": "r1"}, "messages", (Message("user", (Unseen("previous_response_id r1"),)), USER)),
    ({"conversation": {"id": "c1"}}, "messages", (Message("user", (Unseen("conversation c1"),)), USER)),
    ({"prompt": {"id": "p1"}, "model": None}, "model", ""),
    ({"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}]}, "tools",
     (Tool("f", strict=True),)),
    ({"tools": [{"type": "custom", "name": "g", "description": "d"}]}, "tools", (Tool("g", "d"),)),
    ({"tools": [{"type": "web_search", "search_context_size": "low"}]}, "tools",
     (Tool("web_search", schema={"search_context_size": "low"}, server="web_search"),)),
    ({"tools": [SPACE]}, "tools", (Tool("f"),)),
    ({"input": [{"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "f"}]}]},
     "tools", (Tool("f"),)),
    ({"input": [{"type": "tool_search_output", "call_id": "c", "tools": [{"type": "function", "name": "f"}]}]},
     "tools", (Tool("f"),)),
    ({"input": [{"type": "tool_search_output", "tools": []}]}, "messages", (Message("tool", ()),)),
    ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice", "=f"),
    ({"tool_choice": {"type": "file_search"}}, "tool_choice", "=file_search"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice", "auto"),
    ({"text": FORM}, "schema", OutputSchema("s", {"type": "object"})),
    ({"text": {"format": {"type": "json_object"}}}, "extra", {"response_format": "json_object"}),
    ({"reasoning": {"effort": "low"}}, "extra", {"reasoning_effort": "low"}),
    ({"input": [{"type": "function_call", "name": "f", "call_id": "c", "id": "fc_1"},
                {"type": "function_call", "name": "g", "call_id": "d"}]}, "extra", {"kept_calls": frozenset({"c"})}),
    ({"background": True, "stream": True}, "extra", {"background": True}),
    ({"background": False}, "extra", {}),
    ({"max_output_tokens": 99}, "max_output", 99),
    ({}, "least_output", 16),
    ({"stream": True}, "wants_usage", True),
    ({"service_tier": "flex"}, "tier", "flex"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "field", "expected"), READ, ids=lambda value: str(value)[:60])
def test_settings(sent: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(parse(**sent), field) == expected


MALFORMED: list[Any] = [
    ({"model": None}, "model"),
    ({"input": 5}, "input"),
    ({"input": ["a"]}, "input[0]"),
    ({"input": [{"type": ["x"]}]}, "input[0].type"),
    ({"input": [{"role": "king", "content": ""}]}, "input[0].role"),
    ({"input": [{"content": "a"}]}, "input[0].role"),
    ({"input": [{"type": "function_call", "arguments": "{}"}]}, "input[0].name"),
    ({"input": [{"type": "function_call_output", "output": 5}]}, "input[0].output"),
    ({"input": [{"type": "additional_tools", "tools": [5]}]}, "input[0].tools[0]"),
    ({"instructions": ["a"]}, "instructions"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tool_choice": 5}, "tool_choice"),
    ({"background": "yes"}, "background"),
    ({"max_output_tokens": 1.5}, "max_output_tokens"),
    ({"reasoning": {"effort": 3}}, "reasoning.effort"),
]


@pytest.mark.parametrize(("sent", "param"), MALFORMED, ids=lambda value: str(value)[:60])
def test_what_the_provider_would_refuse_is_refused(sent: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(**sent)
    assert (caught.value.reason, caught.value.param) == ("malformed", param)


def test_amendments() -> None:
    body = json.dumps({"model": "m", "input": [{"role": r, "content": r} for r in ("user", "assistant", "user")]})
    call = DIALECT.parse(RawCall("openai-responses", body.encode()))
    amended = DIALECT.amend(body.encode(), call, Amendment(max_output=20, model="n", ask_usage=True, drop_turns=1))
    assert amended == b'{"max_output_tokens":20,"model": "n", "input": [{"role": "user", "content": "user"}]}'


REPORT = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 3},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 2},
}
USED = Usage(9, 4, 3, reasoning=2)


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_usage_stands_in_the_last_event(kind: str) -> None:
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"usage": None}},
        {"type": "response.output_text.delta", "delta": "Hello"},
        {"type": "response.output_text.done", "text": "Hello"},
        {"type": f"response.{kind}", "response": {"usage": REPORT, "service_tier": "auto"}},
    ]
    stream = b"".join(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)
    headers = {"content-type": "text/event-stream"}
    meter = DIALECT.meter(parse(stream=True), headers)
    assert meter.feed(stream) is stream
    assert meter.ending("gone") == Reported(USED)
    meter = DIALECT.meter(parse(stream=True), headers)
    meter.feed(stream[: stream.rindex(b"event: x")])
    assert meter.ending("gone") == CutOff("gone", None, seen_bytes=5, seen_events=1)


def test_usage_and_count_reply() -> None:
    assert DIALECT.usage({"usage": REPORT, "service_tier": "flex"}) == Usage(9, 4, 3, reasoning=2, tier="flex")
    assert DIALECT.usage({"status": "queued", "usage": None}) is None
    assert DIALECT.count_reply(7) == {"object": "response.input_tokens", "input_tokens": 7}
