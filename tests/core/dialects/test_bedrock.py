"""Converse: what is read, what is metered, what is changed, how it says no."""

from __future__ import annotations

import json
import lzma
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import Amendment
from weighbridge.core.errors import Refused
from weighbridge.core.model import (
    Call,
    CutOff,
    Media,
    RawCall,
    Reported,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)

CORPUS = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")
CONVERSE = DIALECTS["bedrock-converse"]
MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
BINARY = {"content-type": "application/vnd.amazon.eventstream"}
JSON = {"content-type": "application/json"}


def parsed(body: dict[str, Any], stream: bool = False) -> Call:
    raw = RawCall("bedrock-converse", json.dumps(body).encode(), model=MODEL, stream=stream)
    return CONVERSE.parse(raw)


BLOCKS: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "text": ({"text": "x"}, (Text("x"),)),
    "image": ({"image": {"format": "png", "source": {"bytes": "QQ=="}}}, (Media("image", "image/png", "QQ=="),)),
    "document": (
        {"document": {"format": "md", "name": "n", "context": "why", "source": {"bytes": "QQ=="}}},
        (Text("why"), Media("document", "text/markdown", "QQ==")),
    ),
    "document in text": ({"document": {"name": "n", "source": {"text": "words"}}}, (Text("words"),)),
    "document in pieces": ({"document": {"name": "n", "source": {"content": [{"text": "a"}]}}}, (Text("a"),)),
    "elsewhere": (
        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://b/k"}}}},
        (Media("video", "video/mp4", url="s3://b/k"),),
    ),
    "call": ({"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}}, (ToolCall("f", '{"a":1}', "1"),)),
    "result": (
        {"toolResult": {"toolUseId": "1", "content": [{"json": {"a": 1}}, {"text": "x"}], "status": "success"}},
        (ToolResult((Text('{"a":1}'), Text("x")), id="1"),),
    ),
    "thought": (
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        (Thinking("hm", "s"),),
    ),
    "hidden thought": ({"reasoningContent": {"redactedContent": "zz"}}, (Thinking(signature="zz"),)),
    "guarded": ({"guardContent": {"text": {"text": "x"}}}, (Text("x"),)),
    "cited": ({"citationsContent": {"content": [{"text": "x"}], "citations": []}}, (Text("x"),)),
    "search result": (
        {"searchResult": {"source": "s", "title": "t", "content": [{"text": "x"}]}},
        (Text("s"), Text("t"), Text("x")),
    ),
    "cache point": ({"cachePoint": {"type": "default"}}, ()),
    "unknown": ({"hologram": {"size": 3}}, (Text('{"hologram":{"size":3}}'),)),
}


@pytest.mark.parametrize(("block", "parts"), BLOCKS.values(), ids=BLOCKS)
def test_blocks(block: dict[str, Any], parts: tuple[Any, ...]) -> None:
    found = parsed({"messages": [{"role": "user", "content": [block]}]}).messages[0].parts
    named = tuple(Media(p.kind, p.mime, p.data, p.url) if isinstance(p, Media) else p for p in found)
    assert named == parts


def test_the_rest_of_a_request() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    call = parsed(
        {
            **HELLO,
            "system": [{"text": "be brief"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
            "toolConfig": {
                "tools": [
                    {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}}},
                    {"cachePoint": {"type": "default"}},
                    {"systemTool": {"name": "nova_grounding"}},
                ],
                "toolChoice": {"tool": {"name": "f"}},
            },
            "inferenceConfig": {"maxTokens": 2000, "temperature": 0},
            "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"name": "S", "schema": json.dumps(schema)}}}},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "serviceTier": {"type": "flex"},
        },
        stream=True,
    )
    assert (call.model, call.max_output, call.least_output, call.stream) == (MODEL, 2000, 1025, True)
    assert [m.role for m in call.messages] == ["system", "user"]
    assert call.tools == (Tool("f", "d", schema), Tool("nova_grounding", server="nova_grounding"))
    assert call.tool_choice == "=f" and call.schema is not None and call.schema.schema == schema
    assert (call.tier, call.caches, call.extra["thinking"]) == ("flex", "1h", "enabled")


BAD: dict[str, dict[str, Any]] = {
    "no messages": {},
    "no turns": {"messages": []},
    "a role": {"messages": [{"role": "tool", "content": []}]},
    "text": {"messages": [{"role": "user", "content": "Hello"}]},
    "a block": {"messages": [{"role": "user", "content": ["Hello"]}]},
    "a source": {"messages": [{"role": "user", "content": [{"image": {"format": "png"}}]}]},
    "a limit": {**HELLO, "inferenceConfig": {"maxTokens": 0}},
    "a schema": {**HELLO, "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "{"}}}}},
    "a list for a schema": {**HELLO, "outputConfig": {"textFormat": {"structure": {"jsonSchema": {"schema": "[]"}}}}},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_bodies_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        parsed(body)
    assert refused.value.reason == "malformed"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*BLOCKS, "text", "toolUse", "source", "role", "content")), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(("messages", "system", "toolConfig", "outputConfig")), values))
def test_any_body_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        assert isinstance(parsed({**HELLO, **body}), Call)
    except Refused as error:
        assert error.reason == "malformed"


def test_count_route_unwraps() -> None:
    raw = RawCall("bedrock-converse", json.dumps({"input": {"converse": HELLO}}).encode(), model=MODEL, counts=True)
    assert CONVERSE.parse_count is not None and CONVERSE.parse_count(raw).messages == parsed(HELLO).messages
    assert CONVERSE.count_reply(7) == {"inputTokens": 7}


def test_amend_touches_nothing_else() -> None:
    body = b'{"messages": [{"role":"user","content":[{"text":"a"}]}], "inferenceConfig": {"temperature": 0.50}}'
    call = CONVERSE.parse(RawCall("bedrock-converse", body, model=MODEL))
    changed = CONVERSE.amend(body, call, Amendment(max_output=5, model="other"))
    assert changed == body.replace(b'{"temperature"', b'{"maxTokens":5,"temperature"')


def test_trim_keeps_calls_with_their_results() -> None:
    use = {"toolUse": {"toolUseId": "1", "name": "f", "input": {}}}
    result = {"toolResult": {"toolUseId": "1", "content": [{"text": "x"}]}}
    turns = [("user", {"text": "a"}), ("assistant", use), ("user", result), ("user", {"text": "b"})]
    body = json.dumps({"messages": [{"role": role, "content": [block]} for role, block in turns]}).encode()
    call = CONVERSE.parse(RawCall("bedrock-converse", body, model=MODEL))
    left = json.loads(CONVERSE.amend(body, call, Amendment(drop_turns=1)))["messages"]
    assert [block for turn in left for block in turn["content"]] == [{"text": "b"}]


def test_refusals_are_exceptions_of_aws() -> None:
    answer = CONVERSE.refusal(Refused("context_length", "too long", counted=9, limit=5))
    assert answer["__type"] == "ValidationException"
    assert answer["message"] == "Input is too long for requested model: 9 tokens > 5 maximum."
    assert answer["error"]["weighbridge"]["reason"] == "context_length"
    assert CONVERSE.refusal(Refused("rate", "slower"))["__type"] == "ThrottlingException"


EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":1}'}}}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 10, "cacheReadInputTokens": 2}}),
]
USED = Usage(input=7, output=3, cache_read=2)


def frame(name: str, payload: dict[str, Any], kind: str = ":event-type") -> bytes:
    """One message of AWS's event stream."""
    pairs = ((":content-type", "application/json"), (kind, name), (":message-type", "event"))
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\7" + struct.pack(">H", len(value)) + value.encode()
        for key, value in pairs
    )
    body = json.dumps(payload).encode()
    head = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = head + struct.pack(">I", zlib.crc32(head)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


FORMS = {
    "binary": (b"".join(frame(*event) for event in EVENTS), BINARY),
    "lines": (b"".join(json.dumps({name: body}).encode() + b"\n" for name, body in EVENTS), {}),
    "recorded": (b"".join(b"data: " + json.dumps({name: body}).encode() + b"\n" for name, body in EVENTS), {}),
    "events": (b"".join(b"data: " + json.dumps({n: b}).encode() + b"\n\n" for n, b in EVENTS), {}),
}


@pytest.mark.parametrize("form", FORMS)
@given(size=st.integers(1, 200))
def test_streams_are_metered_wherever_they_are_cut(form: str, size: int) -> None:
    data, headers = FORMS[form]
    meter = CONVERSE.meter(parsed(HELLO, stream=True), headers)
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        assert meter.feed(piece) is piece
    assert meter.finish() == b""
    assert meter.ending() == Reported(USED)


@pytest.mark.parametrize("form", FORMS)
def test_a_stream_that_breaks_off_is_charged_for_what_was_seen(form: str) -> None:
    data, headers = FORMS[form]
    meter = CONVERSE.meter(parsed(HELLO, stream=True), headers)
    meter.feed(data[: data.index(b"metadata") - 40])
    ending = meter.ending("the client left")
    assert isinstance(ending, CutOff)
    assert (ending.reason, ending.seen_events) == ("the client left", 2) and ending.seen_bytes >= len("Hello") + 7


def test_exceptions_end_a_stream() -> None:
    data = frame("throttlingException", {"message": "slower"}, ":exception-type")
    meter = CONVERSE.meter(parsed(HELLO, stream=True), BINARY)
    meter.feed(data)
    ending = meter.ending()
    assert isinstance(ending, CutOff) and "throttlingException: slower" in ending.reason


@given(st.binary(max_size=400), st.sampled_from((BINARY, {}, JSON)))
def test_no_answer_upsets_a_meter(data: bytes, headers: dict[str, str]) -> None:
    meter = CONVERSE.meter(parsed(HELLO, stream=True), headers)
    meter.feed(data)
    meter.finish()
    assert isinstance(meter.ending(), Reported | CutOff)


def test_every_recorded_exchange_is_read_and_metered_exactly() -> None:
    if not (CORPUS / "traffic.jsonl.xz").is_file():
        pytest.skip("the corpus of recorded traffic is not here: set WEIGHBRIDGE_CORPUS")
    with lzma.open(CORPUS / "traffic.jsonl.xz", "rt") as lines:
        rows = [row for row in map(json.loads, lines) if row["dialect"] == "bedrock-converse"]
    chance = random.Random(3)
    for row in rows:
        body = json.dumps(row["request"]).encode()
        call = CONVERSE.parse(RawCall("bedrock-converse", body, model=row["model"], stream=row["stream"]))
        answer = (row["response_stream"] or json.dumps(row["response_body"])).encode()
        meter = CONVERSE.meter(call, {} if row["response_stream"] else JSON)
        while answer:
            size = chance.choice((1, 13, 500, 20_000))
            meter.feed(answer[:size])
            answer = answer[size:]
        meter.finish()
        ending = meter.ending()
        assert isinstance(ending, Reported), row["id"]
        used = ending.usage
        billed = [row.get(key) or 0 for key in ("input_tokens", "output_tokens", "cached_tokens")]
        assert [used.input, used.output, used.cache_read] == billed, row["id"]
    assert len(rows) >= 100
