from __future__ import annotations

import json
from typing import Any

import pytest

from weighbridge.core.dialects.base import Amendment
from weighbridge.core.dialects.openai_chat import DIALECT
from weighbridge.core.errors import Refused
from weighbridge.core.model import (
    Call,
    Media,
    Message,
    OutputSchema,
    RawCall,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
    Usage,
)

HELLO = {"role": "user", "content": "Hello"}


def parse(**members: Any) -> Call:
    """A chat request with these members beside a model and a message."""
    body = {"model": "gpt-4o", "messages": [HELLO], **members}
    return DIALECT.parse(RawCall("openai-chat", json.dumps(body).encode()))


def message(**members: Any) -> Message:
    """The only message of a request, as read."""
    return parse(messages=[members]).messages[0]


def part(**members: Any) -> Any:
    """The only content part of a message, as read."""
    (found,) = message(role="user", content=[members]).parts
    return found


def test_a_plain_request() -> None:
    assert parse() == Call("openai-chat", "gpt-4o", (Message("user", (Text("Hello"),)),), caches="5m")


PARTS: list[Any] = [
    ({"type": "text", "text": "a"}, Text("a")),
    ({"type": "refusal", "refusal": "no"}, Text("no")),
    ({"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
     Media("image", url="https://x/y.png", detail="low")),
    ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
     Media("image", mime="image/png", data="AAAA")),
    ({"type": "image_url", "image_url": "https://x/y.png"}, Media("image", url="https://x/y.png")),
    ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, Media("audio", "audio/wav", "AA")),
    ({"type": "file", "file": {"file_id": "file-1"}}, Unseen("file file-1")),
    ({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
     Media("document", "application/pdf", "AA", name="a.pdf")),
    ({"type": "file", "file": {"filename": "a.pdf", "file_data": "AA"}}, Media("document", data="AA", name="a.pdf")),
    ({"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}, Media("video", url="https://x/y.mp4")),
    ({"type": "document_url", "document_url": "https://x/y.pdf"}, Media("document", url="https://x/y.pdf")),
    ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, Thinking("hm")),
    ({"type": "hologram", "x": [1]}, Text('{"type":"hologram","x":[1]}')),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), PARTS, ids=lambda value: str(value)[:50])
def test_content_parts(sent: dict[str, Any], expected: object) -> None:
    assert part(**sent) == expected


CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
MESSAGES: list[Any] = [
    ({"role": "developer", "content": "Be brief"}, Message("system", (Text("Be brief"),))),
    ({"role": "user", "content": ["a", "b"], "name": "ann"}, Message("user", (Text("a"), Text("b")), "ann")),
    ({"role": "assistant", "content": None, "tool_calls": CALLS}, Message("assistant", (ToolCall("f", "{}", "c1"),))),
    ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "g", "input": "x"}}]},
     Message("assistant", (ToolCall("g", "x", "c"),))),
    ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
     Message("assistant", (ToolCall("f", "{}"),))),
    ({"role": "assistant", "content": "a", "refusal": "no", "reasoning_content": "hm", "audio": {"id": "au"}},
     Message("assistant", (Thinking("hm"), Text("a"), Text("no"), Unseen("audio au")))),
    ({"role": "tool", "content": "42", "tool_call_id": "c1"}, Message("tool", (ToolResult((Text("42"),), "", "c1"),))),
    ({"role": "function", "content": "42", "name": "f"}, Message("tool", (ToolResult((Text("42"),), "f"),))),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "expected"), MESSAGES, ids=lambda value: str(value)[:50])
def test_messages(sent: dict[str, Any], expected: Message) -> None:
    assert message(**sent) == expected


F = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
NAMED = {"type": "function", "function": {"name": "f"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}
SCHEMA = {"name": "s", "schema": {"type": "object"}, "description": "d"}
READ: list[Any] = [
    ({"tools": [{"type": "function", "function": F}]}, "tools", (Tool("f", "d", {"type": "object"}, strict=True),)),
    ({"tools": [{"function": {"name": "f"}}]}, "tools", (Tool("f"),)),
    ({"tools": [{"type": "custom", "custom": {"name": "g", "format": {"type": "text"}}}]}, "tools",
     (Tool("g", schema={"type": "text"}),)),
    ({"tools": [{"type": "host:web_search", "parameters": {}}]}, "tools",
     (Tool("host:web_search", schema={"parameters": {}}, server="host:web_search"),)),
    ({"functions": [F]}, "tools", (Tool("f", "d", {"type": "object"}, strict=True),)),
    ({"web_search_options": {}}, "tools", (Tool("web_search", server="web_search"),)),
    ({"web_search_options": None}, "tools", ()),
    ({"tool_choice": "none"}, "tool_choice", "none"),
    ({"tool_choice": "any"}, "tool_choice", "required"),
    ({"tool_choice": NAMED}, "tool_choice", "=f"),
    ({"tool_choice": {"function": {"name": "f"}}}, "tool_choice", "=f"),
    ({"tool_choice": {"type": "custom", "custom": {"name": "g"}}}, "tool_choice", "=g"),
    ({"tool_choice": ALLOWED}, "tool_choice", "required"),
    ({"function_call": {"name": "f"}}, "tool_choice", "=f"),
    ({"response_format": {"type": "json_schema", "json_schema": SCHEMA}}, "schema",
     OutputSchema("s", {"type": "object"}, "d")),
    ({"response_format": {"type": "json_object"}}, "extra", {"response_format": "json_object"}),
    ({"response_format": {"type": "text"}}, "schema", None),
    ({"max_tokens": 5}, "max_output", 5),
    ({"max_completion_tokens": 6, "max_tokens": None}, "max_output", 6),
    ({"n": 3}, "choices", 3),
    ({"n": None}, "choices", 1),
    ({"stream": True}, "wants_usage", False),
    ({"stream": True, "stream_options": {"include_usage": True}}, "wants_usage", True),
    ({"stream": True, "stream_options": None}, "stream", True),
    ({"service_tier": "flex"}, "tier", "flex"),
    ({"service_tier": "default"}, "tier", ""),
    ({"reasoning_effort": "low", "modalities": ["text"]}, "extra", {"reasoning_effort": "low", "modalities": ["text"]}),
    ({"reasoning": {"effort": "high"}}, "extra", {"reasoning_effort": "high"}),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "field", "expected"), READ, ids=lambda value: str(value)[:50])
def test_settings(sent: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(parse(**sent), field) == expected


MALFORMED: list[Any] = [
    ({"model": None}, "model"),
    ({"model": 4}, "model"),
    ({"model": ""}, "model"),
    ({"model": "\ud800"}, "model"),
    ({"model": "m" * 300}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": ["Hello"]}, "messages[0]"),
    ({"messages": [{"content": "a"}]}, "messages[0].role"),
    ({"messages": [{"role": "king", "content": "a"}]}, "messages[0].role"),
    ({"messages": [HELLO, {"role": "user", "content": 5}]}, "messages[1].content"),
    ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]},
     "messages[0].content[0].file.file_id"),
    ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]},
     "messages[0].tool_calls[0].function.name"),
    ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages[0].tool_calls"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
    ({"tools": {}}, "tools"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.name"),
    ({"response_format": "json"}, "response_format"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_completion_tokens": "5"}, "max_completion_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"stream": "yes"}, "stream"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    ({"service_tier": 1}, "service_tier"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "param"), MALFORMED, ids=lambda value: str(value)[:60])
def test_what_the_provider_would_refuse_is_refused(sent: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(**sent)
    assert (caught.value.reason, caught.value.param) == ("malformed", param)


AMENDED: list[Any] = [
    ('{"max_tokens": 9,"model":"gpt-4"}', Amendment(max_output=5), '{"max_tokens": 5,"model":"gpt-4"}'),
    ('{"max_completion_tokens":9,"model":"gpt-4"}', Amendment(max_output=5),
     '{"max_completion_tokens":5,"model":"gpt-4"}'),
    ('{"max_tokens":null,"model":"o3"}', Amendment(max_output=5), '{"max_tokens":5,"model":"o3"}'),
    ('{"max_completion_tokens":null,"max_tokens":9,"model":"x"}', Amendment(max_output=5),
     '{"max_completion_tokens":null,"max_tokens":5,"model":"x"}'),
    ('{"model":"gpt-4"}', Amendment(max_output=5), '{"max_tokens":5,"model":"gpt-4"}'),
    ('{"model":"o1"}', Amendment(max_output=5), '{"max_completion_tokens":5,"model":"o1"}'),
    ('{"model":"azure/eu/gpt-5-mini"}', Amendment(max_output=5),
     '{"max_completion_tokens":5,"model":"azure/eu/gpt-5-mini"}'),
    ('{"model":"gpt-4"}', Amendment(model="gpt-4.1"), '{"model":"gpt-4.1"}'),
    ('{"model":"x","stream":true}', Amendment(ask_usage=True),
     '{"stream_options":{"include_usage":true},"model":"x","stream":true}'),
    ('{"model":"x","stream_options":{ "a":1}}', Amendment(ask_usage=True),
     '{"model":"x","stream_options":{"include_usage":true, "a":1}}'),
    ('{"model":"x"}', Amendment(), '{"model":"x"}'),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "change", "expected"), AMENDED, ids=lambda value: str(value)[:50])
def test_an_amendment_changes_its_member_only(sent: str, change: Amendment, expected: str) -> None:
    call = Call("openai-chat", json.loads(sent)["model"])
    assert DIALECT.amend(sent.encode(), call, change).decode() == expected


def test_dropped_turns_keep_system_last_turn_and_pairs() -> None:
    turns = ["system", "user", "assistant", "tool", "assistant", "user", "assistant", "user"]
    body = json.dumps({"model": "m", "messages": [{"role": role, "content": str(i)} for i, role in enumerate(turns)]})
    for drop, left in ((1, "0567"), (2, "07"), (9, "07")):
        amended = json.loads(DIALECT.amend(body.encode(), Call("openai-chat", "m"), Amendment(drop_turns=drop)))
        assert "".join(message["content"] for message in amended["messages"]) == left


P, C = {"prompt_tokens": 9}, {"completion_tokens": 4}
USAGES: list[Any] = [
    ({"usage": {**P, **C}}, Usage(9, 4)),
    ({"usage": {**P, **C, "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 2, "cache_write_tokens": 1},
      "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 1}}, "service_tier": "priority"},
     Usage(9, 4, 3, 1, reasoning=2, audio_input=2, audio_output=1, tier="priority")),
    ({"usage": {**P, **C, "prompt_tokens_details": None}, "service_tier": "default"}, Usage(9, 4, tier="default")),
    ({"usage": {**P, **C, "prompt_cache_hit_tokens": 3}}, Usage(9, 4, 3)),
    ({"usage": {**P, **C, "num_cached_tokens": 3}}, Usage(9, 4, 3)),
    ({"x_groq": {"usage": {**P, **C}}}, Usage(9, 4)),
    ({"usage": P}, Usage(9)),
    ({"usage": {"prompt_tokens": 0, "completion_tokens": 0}}, Usage()),
    ({"usage": {}}, None),
    ({"usage": None}, None),
    ({"usage": {"prompt_tokens": "9", "completion_tokens": True}}, None),
    ({"error": {"message": "no"}}, None),
    ([], None),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), USAGES, ids=lambda value: str(value)[:60])
def test_usage(answer: object, expected: Usage | None) -> None:
    assert DIALECT.usage(answer) == expected
