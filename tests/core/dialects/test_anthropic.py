from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects.anthropic_messages import DIALECT, parse_count
from weighbridge.core.dialects.base import Amendment
from weighbridge.core.errors import STATUS, Obstacle, Refused
from weighbridge.core.model import (
    Call,
    Media,
    OutputSchema,
    RawCall,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
)

HELLO = {"role": "user", "content": "Hello"}


def raw(body: Any) -> RawCall:
    return RawCall("anthropic-messages", json.dumps(body).encode())


def parse(**members: Any) -> Call:
    return DIALECT.parse(raw({"model": "claude-x", "max_tokens": 100, "messages": [HELLO], **members}))


def parts(block: Any) -> tuple[Any, ...]:
    return parse(messages=[{"role": "user", "content": [block]}]).messages[0].parts


def source(**members: Any) -> dict[str, Any]:
    return {"type": "image", "source": members}


BLOCKS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "text": ({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}, (Text("hi"),)),
    "image": (source(type="base64", media_type="image/png", data="QUJD"), (Media("image", "image/png", "QUJD"),)),
    "image-url": (source(type="url", url="https://x/y.png"), (Media("image", url="https://x/y.png"),)),
    "image-file": (source(type="file", file_id="file_1"), (Unseen("image file file_1"),)),
    "pdf": (
        {
            "type": "document",
            "title": "T",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
        },
        (Text("T"), Media("document", "application/pdf", "QQ==")),
    ),
    "document-text": (
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
        (Media("document", "text/plain", data="d29yZHM="),),
    ),
    "document-content": (
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        (Text("a"),),
    ),
    "tool-use": (
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, "ü"]}},
        (ToolCall("f", '{"a":[1,"ü"]}', "t1"),),
    ),
    "server-tool-use": (
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        (ToolCall("web_search", "{}", "s1"),),
    ),
    "tool-result": (
        {"type": "tool_result", "tool_use_id": "t1", "content": "ok", "is_error": True},
        (ToolResult((Text("ok"),), id="t1"),),
    ),
    "tool-result-blocks": (
        {"type": "tool_result", "tool_use_id": "t1", "content": [source(type="base64", data="QQ==")]},
        (ToolResult((Media("image", data="QQ=="),), id="t1"),),
    ),
    "tool-result-empty": ({"type": "tool_result", "tool_use_id": "t1"}, (ToolResult((), id="t1"),)),
    "web-search-result": (
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"url": "u"}]},
        (ToolResult((Text('[{"url":"u"}]'),), id="s1"),),
    ),
    "thinking": ({"type": "thinking", "thinking": "hm", "signature": "c2ln"}, (Thinking("hm", "c2ln"),)),
    "redacted": ({"type": "redacted_thinking", "data": "ZGF0"}, (Thinking(signature="ZGF0"),)),
    "search-result": (
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "c"}]},
        (Text("s"), Text("t"), Text("c")),
    ),
    "upload": ({"type": "container_upload", "file_id": "f9"}, (Unseen("container file f9"),)),
    "tool-reference": ({"type": "tool_reference", "tool_name": "f"}, (Text("f"),)),
    "compaction": ({"type": "compaction", "content": "so far"}, (Text("so far"),)),
    "unknown": ({"type": "hologram", "z": 1}, (Text('{"type":"hologram","z":1}'),)),
}


@pytest.mark.parametrize(("block", "expected"), BLOCKS.values(), ids=BLOCKS)
def test_blocks(block: Any, expected: tuple[Any, ...]) -> None:
    assert parts(block) == expected


def test_system_comes_first() -> None:
    system = [{"type": "text", "text": "be brief"}]
    assert [(m.role, m.parts) for m in parse(system=system).messages] == [
        ("system", (Text("be brief"),)),
        ("user", (Text("Hello"),)),
    ]


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {"model": "claude-x", "max_output": 100, "least_output": 1, "stream": False, "tool_choice": "auto"}),
    "stream": ({"stream": True}, {"stream": True, "wants_usage": True}),
    "cache-warming": ({"max_tokens": 0}, {"max_output": 0, "least_output": 0, "generates": False}),
    "thinking": (
        {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"least_output": 2001, "extra": {"thinking": "enabled", "thinking_budget": 2000}},
    ),
    "interleaved-thinking": (
        {"max_tokens": 1500, "thinking": {"type": "enabled", "budget_tokens": 2000}},
        {"least_output": 1500},
    ),
    "adaptive": ({"thinking": {"type": "adaptive"}}, {"least_output": 1, "extra": {"thinking": "adaptive"}}),
    "any": ({"tool_choice": {"type": "any"}}, {"tool_choice": "required"}),
    "none": ({"tool_choice": {"type": "none"}}, {"tool_choice": "none"}),
    "one-tool": ({"tool_choice": {"type": "tool", "name": "f"}}, {"tool_choice": "=f"}),
    "schema": (
        {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"schema": OutputSchema("", {"type": "object"}), "extra": {"effort": "low"}},
    ),
    "older-schema": ({"output_format": {"schema": {"a": 1}}}, {"schema": OutputSchema("", {"a": 1})}),
    "tool": (
        {"tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}]},
        {"tools": (Tool("f", "d", {"type": "object"}, strict=True),)},
    ),
    "deferred-tool": (
        {"tools": [{"type": "custom", "name": "f", "input_schema": {}, "defer_loading": True}]},
        {"tools": (Tool("f"),), "extra": {"deferred_tools": ["f"]}},
    ),
    "server-tools": (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}], "mcp_servers": [{"name": "wiki"}]},
        {"tools": (Tool("web_search", server="web_search_20250305"), Tool("wiki", server="mcp"))},
    ),
    "context-management": (
        {"context_management": {"edits": [{"type": "compact_20260112"}]}, "container": "c1", "speed": "fast"},
        {"extra": {"context_edits": ["compact_20260112"], "container": True, "speed": "fast"}},
    ),
}


@pytest.mark.parametrize(("members", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields(members: dict[str, Any], expected: dict[str, Any]) -> None:
    call = parse(**members)
    assert {name: getattr(call, name) for name in expected} == expected


def test_only_counting_does_without_max_tokens() -> None:
    body = {"model": "claude-x", "messages": [HELLO]}
    assert parse_count(raw(body)).max_output is None
    with pytest.raises(Refused, match=r"^max_tokens: Field required$") as caught:
        DIALECT.parse(raw(body))
    assert caught.value.param == "max_tokens"


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no-messages": ({"messages": []}, "messages"),
    "message-type": ({"messages": ["hi"]}, "messages[0]"),
    "role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    "content": ({"messages": [{"role": "user", "content": 1}]}, "messages.0.content"),
    "block": ({"messages": [{"role": "user", "content": [1]}]}, "messages.0.content.0"),
    "text": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]},
        "messages.0.content.0.text",
    ),
    "source": (
        {"messages": [{"role": "user", "content": [source(type="carrier pigeon")]}]},
        "messages.0.content.0.source.type",
    ),
    "negative": ({"max_tokens": -1}, "max_tokens"),
    "boolean": ({"max_tokens": False}, "max_tokens"),
    "word": ({"max_tokens": "100"}, "max_tokens"),
    "model": ({"model": None}, "model"),
    "choice": ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
    "tool": ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
    "budget": ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    "schema": ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    "stream": ({"stream": "yes"}, "stream"),
}


@pytest.mark.parametrize(("members", "param"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(members: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(**members)
    assert (caught.value.reason, caught.value.param) == ("malformed", param)


TURNS = (
    b'{"role":"user","content":"one"}',
    b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":{}}]}',
    b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":"1"}]}',
    b'{"role":"system","content":"mind"}',
    b'{"role":"user","content":"two"}',
)
LONG = b'{ "model":"claude-x", "max_tokens" : 100, "messages":[' + b" , ".join(TURNS) + b"]}"
AMENDED: dict[str, tuple[Amendment, bytes]] = {
    "nothing": (Amendment(), LONG),
    "clamp": (Amendment(max_output=7), LONG.replace(b"100", b"7")),
    "reroute": (Amendment(model="m"), LONG.replace(b"claude-x", b"m")),
    "trim-keeps-pairs": (
        Amendment(drop_turns=1),
        b'{ "model":"claude-x", "max_tokens" : 100, "messages":[' + TURNS[3] + b"," + TURNS[4] + b"]}",
    ),
}


@pytest.mark.parametrize(("amendment", "expected"), AMENDED.values(), ids=AMENDED)
def test_amend(amendment: Amendment, expected: bytes) -> None:
    call = DIALECT.parse(RawCall("anthropic-messages", LONG))
    assert DIALECT.amend(LONG, call, amendment) == expected


OBSTACLE = Obstacle("month", {"team": "r"}, "nano_usd", 100, 90, 5, 20, 1_800_000_000_000)


def test_a_budget_refusal() -> None:
    body = DIALECT.refusal(Refused("budget", "spent", obstacles=(OBSTACLE,), would_fit=3, retry_after=60))
    assert (body["type"], body["error"]["type"], body["error"]["message"]) == ("error", "rate_limit_error", "spent")
    part = body["error"]["weighbridge"]
    assert (part["policy"], part["resets_at"]) == ("month", "2027-01-15T08:00:00Z")
    assert part["would_fit"] == {"max_tokens": 3}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Refused("context_length", "too long", counted=9, limit=8), "prompt is too long: 9 tokens > 8 maximum"),
        (Refused("context_length", "no room for output", counted=8, limit=8), "no room for output"),
        (Refused("context_length", "too long"), "too long"),
    ],
    ids=["too-long", "output-does-not-fit", "unknown-figures"],
)
def test_a_full_window_in_known_words(error: Refused, words: str) -> None:
    assert DIALECT.refusal(error)["error"]["message"] == words


@pytest.mark.parametrize("reason", STATUS)
def test_every_reason_has_a_type(reason: Any) -> None:
    assert DIALECT.refusal(Refused(reason, "why"))["error"]["type"].endswith(("_error", "_too_large"))


def test_count_reply() -> None:
    assert DIALECT.count_reply(14) == {"input_tokens": 14}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    re.findall(
        r"\w+",
        "type role content text source data media_type url file_id input name id tool_use_id is_error thinking "
        "signature title context schema format edits budget_tokens description input_schema strict defer_loading",
    )
)
SHAPED = st.recursive(
    JSON | st.sampled_from(["text", "document", "image", "tool_use", "tool_result", "base64", "content", "user"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
MEMBERS = st.sampled_from(
    re.findall(
        r"\w+",
        "messages system tools tool_choice thinking output_config output_format max_tokens stream mcp_servers "
        "container context_management service_tier speed fallbacks",
    )
)


@given(members=st.dictionaries(MEMBERS, SHAPED, max_size=4), turn=SHAPED)
def test_nothing_but_a_refusal(members: dict[str, Any], turn: Any) -> None:
    turns = {"messages": [{"role": "user", "content": [turn]}]}
    for body in (members, {"model": "m", "max_tokens": 9, **turns, **members}):
        try:
            DIALECT.parse(raw(body))
        except Refused as refused:
            assert refused.reason == "malformed"
