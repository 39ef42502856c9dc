from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects.base import Amendment
from weighbridge.core.dialects.gemini_generate import DIALECT, parse_count
from weighbridge.core.errors import STATUS, Obstacle, Refused
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
)

HELLO = {"role": "user", "parts": [{"text": "Hello"}]}
JSON_SCHEMA = [{"name": "f", "description": "d", "parameters_json_schema": {"a": 1}}]


def raw(body: Any, stream: bool = False) -> RawCall:
    return RawCall("gemini-generate", json.dumps(body).encode(), model="gemini-x", stream=stream)


def parse(**members: Any) -> Call:
    return DIALECT.parse(raw({"contents": [HELLO], **members}))


def config(**members: Any) -> dict[str, Any]:
    return {"generationConfig": members}


def functions(**members: Any) -> dict[str, Any]:
    return {"toolConfig": {"functionCallingConfig": members}}


PARTS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "text": ({"text": "hi"}, (Text("hi"),)),
    "thought": ({"text": "hm", "thought": True, "thoughtSignature": "c2"}, (Thinking("hm", "c2"),)),
    "signed-text": ({"text": "hi", "thought_signature": "c2"}, (Text("hi"), Thinking(signature="c2"))),
    "signature-alone": ({"thoughtSignature": "c2"}, (Thinking(signature="c2"),)),
    "image": (
        {"inlineData": {"mimeType": "image/png", "data": "-_8"}, "mediaResolution": {"level": "HIGH"}},
        (Media("image", "image/png", "+/8", detail="HIGH"),),
    ),
    "snake": ({"inline_data": {"mime_type": "audio/wav", "data": "QQ"}}, (Media("audio", "audio/wav", "QQ"),)),
    "pdf": (
        {"inlineData": {"mimeType": "application/pdf", "data": "QQ", "displayName": "n"}},
        (Media("document", "application/pdf", "QQ", name="n"),),
    ),
    "text-file": ({"inlineData": {"mimeType": "text/plain", "data": "aGk"}}, (Text("hi"),)),
    "text-file-in-latin": (
        {"inlineData": {"mimeType": "text/plain", "data": "/w=="}},
        (Media("document", "text/plain", "/w=="),),
    ),
    "file": (
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://x/v"}},
        (Media("video", "video/mp4", url="https://x/v"),),
    ),
    "call": (
        {"functionCall": {"name": "f", "args": {"a": "ü"}, "id": "1"}, "thoughtSignature": "c2"},
        (ToolCall("f", '{"a":"ü"}', "1"), Thinking(signature="c2")),
    ),
    "call-without-arguments": ({"functionCall": {"name": "f"}}, (ToolCall("f", "{}"),)),
    "response": (
        {"functionResponse": {"name": "f", "response": {"r": 1}}},
        (ToolResult((Text('{"r":1}'),), "f"),),
    ),
    "response-with-file": (
        {"functionResponse": {"name": "f", "parts": [{"inlineData": {"mimeType": "image/png", "data": "QQ"}}]}},
        (ToolResult((Text("{}"), Media("image", "image/png", "QQ")), "f"),),
    ),
    "code": ({"executableCode": {"language": "PYTHON", "code": "1+1"}}, (Text("1+1"),)),
    "code-result": (
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
        (ToolResult((Text("2"),), "codeExecution"),),
    ),
    "server-call": ({"toolCall": {"tool_type": "SEARCH", "args": {}, "id": "1"}}, (ToolCall("SEARCH", "{}", "1"),)),
    "server-response": (
        {"toolResponse": {"toolType": "SEARCH", "response": {"r": 1}}},
        (ToolResult((Text('{"r":1}'),), "SEARCH"),),
    ),
    "unknown": ({"hologram": {"z": 1}, "partMetadata": {}}, (Text('{"hologram":{"z":1}}'),)),
}


@pytest.mark.parametrize(("part", "expected"), PARTS.values(), ids=PARTS)
def test_parts(part: Any, expected: tuple[Any, ...]) -> None:
    assert parse(contents=[{"role": "model", "parts": [part]}]).messages == (Message("assistant", expected),)


FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain": ({}, {"model": "gemini-x", "max_output": None, "choices": 1, "stream": False, "tool_choice": "auto"}),
    "single-objects": (
        {"contents": {"parts": {"text": "a"}}, "tools": {"functionDeclarations": {"name": "f"}}},
        {"messages": (Message("user", (Text("a"),)),), "tools": (Tool("f"),)},
    ),
    "system": (
        {"systemInstruction": {"role": "user", "parts": [{"text": "s"}]}, "cached_content": "cachedContents/1"},
        {
            "messages": (
                Message("system", (Unseen("cached content cachedContents/1"),)),
                Message("system", (Text("s"),)),
                Message("user", (Text("Hello"),)),
            )
        },
    ),
    "limits": (config(maxOutputTokens=7, candidateCount=2), {"max_output": 7, "choices": 2}),
    "snake": ({"generation_config": {"max_output_tokens": 7}}, {"max_output": 7}),
    "protobuf-integers": (config(maxOutputTokens="7", candidateCount=2.0), {"max_output": 7, "choices": 2}),
    "schema": (config(responseSchema={"type": "OBJECT"}), {"schema": OutputSchema("", {"type": "OBJECT"})}),
    "json-schema": (config(_responseJsonSchema={"a": 1}), {"schema": OutputSchema("", {"a": 1})}),
    "tools": (
        {"tools": [{"function_declarations": JSON_SCHEMA}, {"googleSearch": {}}]},
        {"tools": (Tool("f", "d", {"a": 1}), Tool("googleSearch", server="googleSearch"))},
    ),
    "json-schemas": ({"tools": [{"functionDeclarations": JSON_SCHEMA}]}, {"extra": {"json_schemas": ["f"]}}),
    "any": (functions(mode="ANY"), {"tool_choice": "required", "extra": {}}),
    "none": (functions(mode="NONE"), {"tool_choice": "none"}),
    "validated": (functions(mode="VALIDATED"), {"tool_choice": "auto"}),
    "one": (
        functions(mode="ANY", allowedFunctionNames=["f"]),
        {"tool_choice": "=f", "extra": {"allowed_functions": ["f"]}},
    ),
    "extra": (
        config(mediaResolution="LOW", responseModalities=["TEXT"], thinkingConfig={"thinking_budget": 0}),
        {"extra": {"media_resolution": "LOW", "modalities": ["TEXT"], "thinking_budget": 0}},
    ),
    "tier": ({"serviceTier": "flex"}, {"tier": "flex"}),
}


@pytest.mark.parametrize(("members", "expected"), FIELDS.values(), ids=FIELDS)
def test_fields(members: dict[str, Any], expected: dict[str, Any]) -> None:
    call = parse(**members)
    assert {name: getattr(call, name) for name in expected} == expected


MALFORMED: dict[str, tuple[dict[str, Any], str]] = {
    "no-contents": ({"contents": None}, "contents"),
    "contents": ({"contents": "hi"}, "contents"),
    "role": ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
    "part": ({"contents": [{"parts": ["hi"]}]}, "contents[0].parts[0]"),
    "text": ({"contents": [{"parts": [{"text": 1}]}]}, "contents[0].parts[0].text"),
    "two-in-one": (
        {"contents": [{"parts": [{"text": "a", "functionCall": {"name": "f"}}]}]},
        "contents[0].parts[0].functionCall",
    ),
    "both-spellings": ({"systemInstruction": {}, "system_instruction": {}}, "systemInstruction"),
    "instruction": ({"systemInstruction": "be brief"}, "systemInstruction"),
    "zero": (config(maxOutputTokens=0), "generationConfig.maxOutputTokens"),
    "fraction": (config(maxOutputTokens=1.5), "generationConfig.maxOutputTokens"),
    "two-schemas": (config(responseSchema={}, responseJsonSchema={}), "generationConfig.responseJsonSchema"),
    "two-parameters": (
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {}, "parametersJsonSchema": {}}]}]},
        "tools[0].functionDeclarations[0].parametersJsonSchema",
    ),
    "mode": (functions(mode="MAYBE"), "toolConfig.functionCallingConfig.mode"),
    "config": ({"generationConfig": []}, "generationConfig"),
}


@pytest.mark.parametrize(("members", "param"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(members: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as caught:
        parse(**members)
    assert (caught.value.reason, caught.value.param) == ("malformed", param)


def test_a_model_is_needed() -> None:
    body = json.dumps({"contents": [HELLO], "model": "models/gemini-y"}).encode()
    assert DIALECT.parse(RawCall("gemini-generate", body)).model == "gemini-y"
    with pytest.raises(Refused, match="model"):
        DIALECT.parse(RawCall("gemini-generate", b'{"contents":[{}]}'))


def test_both_bodies_of_the_count_route() -> None:
    whole = {"model": "models/gemini-x", "contents": [HELLO], "systemInstruction": {"parts": [{"text": "s"}]}}
    assert parse_count(raw({"contents": [HELLO]})) == parse()
    assert [m.role for m in parse_count(raw({"generateContentRequest": whole})).messages] == ["system", "user"]
    with pytest.raises(Refused, match="not both"):
        parse_count(raw({"contents": [HELLO], "generateContentRequest": whole}))


USER = b'{"parts":[{"text":"one"}]}'
MODEL = b'{"role":"model","parts":[{"function_call":{"name":"f"}}]}'
TOOL = b'{"role":"user","parts":[{"functionResponse":{"name":"f"}}]}'
CHAT = b'{"contents": [' + b", ".join((USER, MODEL, TOOL, USER)) + b"]}"
AMENDED: dict[str, tuple[bytes, Amendment, bytes]] = {
    "nothing": (CHAT, Amendment(), CHAT),
    "absent": (
        b'{"contents":[{}]}',
        Amendment(max_output=7),
        b'{"generationConfig":{"maxOutputTokens":7},"contents":[{}]}',
    ),
    "camel": (
        b'{"contents":[{}],"generationConfig":{"topK": 1.50, "maxOutputTokens": 90}}',
        Amendment(max_output=7),
        b'{"contents":[{}],"generationConfig":{"topK": 1.50, "maxOutputTokens": 7}}',
    ),
    "snake": (
        b'{"contents":[{}],"generation_config":{"max_output_tokens":90}}',
        Amendment(max_output=7),
        b'{"contents":[{}],"generation_config":{"max_output_tokens":7}}',
    ),
    "mixed": (
        b'{"contents":[{}],"generation_config":{"maxOutputTokens":90}}',
        Amendment(max_output=7),
        b'{"contents":[{}],"generation_config":{"maxOutputTokens":7}}',
    ),
    "null": (
        b'{"contents":[{}],"generationConfig":null}',
        Amendment(max_output=7),
        b'{"contents":[{}],"generationConfig":{"maxOutputTokens":7}}',
    ),
    "model-in-the-path": (CHAT, Amendment(model="m"), CHAT),
    "trim-keeps-pairs": (CHAT, Amendment(drop_turns=1), b'{"contents": [' + USER + b"]}"),
}


@pytest.mark.parametrize(("body", "amendment", "expected"), AMENDED.values(), ids=AMENDED)
def test_amend(body: bytes, amendment: Amendment, expected: bytes) -> None:
    call = DIALECT.parse(RawCall("gemini-generate", body, model="gemini-x"))
    assert DIALECT.amend(body, call, amendment) == expected


OBSTACLE = Obstacle("month", {"team": "r"}, "nano_usd", 100, 90, 5, 20, 1_800_000_000_000)


def test_a_budget_refusal() -> None:
    error = DIALECT.refusal(Refused("budget", "spent", obstacles=(OBSTACLE,), retry_after=60))["error"]
    assert (error["code"], error["status"], error["message"]) == (429, "RESOURCE_EXHAUSTED", "spent")
    part, retry = error["details"]
    assert (part["@type"], part["policy"], part["reason"]) == ("weighbridge", "month", "budget")
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "60s"}


def test_a_full_window_in_known_words() -> None:
    error = DIALECT.refusal(Refused("context_length", "too long", counted=9, limit=8))["error"]
    words = "The input token count (9) exceeds the maximum number of tokens allowed (8)."
    assert (error["code"], error["status"], error["message"]) == (400, "INVALID_ARGUMENT", words)
    assert DIALECT.refusal(Refused("context_length", "no room", counted=8, limit=8))["error"]["message"] == "no room"


@pytest.mark.parametrize("reason", STATUS)
def test_every_reason_has_a_status(reason: Any) -> None:
    assert DIALECT.refusal(Refused(reason, "why"))["error"]["status"].isupper()


def test_count_reply() -> None:
    assert DIALECT.count_reply(14) == {"totalTokens": 14}


NAMES = st.sampled_from(
    re.findall(
        r"\w+",
        "contents parts role text thought thoughtSignature inlineData inline_data mimeType data fileData fileUri "
        "args functionCall functionResponse response name id toolCall executableCode code codeExecutionResult "
        "output level mediaResolution functionDeclarations parameters description functionCallingConfig mode "
        "allowedFunctionNames thinkingConfig thinkingBudget responseSchema maxOutputTokens candidateCount "
        "hologram",
    )
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
SHAPED = st.recursive(
    LEAVES | st.sampled_from(["user", "model", "ANY", "text/plain", "image/png", "QQ"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=20,
)
MEMBERS = st.sampled_from(
    re.findall(
        r"\w+",
        "contents systemInstruction system_instruction tools toolConfig generationConfig cachedContent "
        "serviceTier generateContentRequest model",
    )
)


@given(members=st.dictionaries(MEMBERS, SHAPED, max_size=4), part=SHAPED)
def test_nothing_but_a_refusal(members: dict[str, Any], part: Any) -> None:
    for body in (members, {"contents": [{"parts": [part]}], **members}):
        for read in (DIALECT.parse, parse_count):
            try:
                read(raw(body))
            except Refused as refused:
                assert refused.reason == "malformed"
