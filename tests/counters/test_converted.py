"""A chat request asked as Responses: both, read by their own dialects, say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses.input_token_count_params import InputTokenCountParams

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import Call, Media, Part, RawCall, Text, ToolCall, ToolResult
from weighbridge.counters import APIS
from weighbridge.counters.converted import converted
from weighbridge.counters.openai import CHAT_MORE, CHAT_TOOLS_MORE
from weighbridge.counters.question import Uncountable

PIXEL = "data:image/png;base64,iVBORw0KGgo="
words = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.from_regex(r"[a-z_]{1,10}", fullmatch=True)
texts = st.builds(lambda text: {"type": "text", "text": text}, words)
images = st.sampled_from(["low", "high", "auto"]).map(
    lambda detail: {"type": "image_url", "image_url": {"url": PIXEL, "detail": detail}}
)
user = st.one_of(words, st.lists(st.one_of(texts, images), min_size=1, max_size=3)).map(
    lambda content: {"role": "user", "content": content}
)
system = st.builds(lambda role, text: {"role": role, "content": text}, st.sampled_from(["system", "developer"]), words)
assistant = st.one_of(words, st.lists(texts, min_size=1, max_size=2)).map(
    lambda content: {"role": "assistant", "content": content}
)
calls = st.builds(
    lambda id, name, arguments: {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}},
    names, names, words,
)  # fmt: skip
called = st.lists(calls, min_size=1, max_size=3).map(lambda made: {"role": "assistant", "tool_calls": made})
results = st.builds(lambda id, text: {"role": "tool", "tool_call_id": id, "content": text}, names, words)
schemas = st.builds(lambda name: {"type": "object", "properties": {name: {"type": "string"}}}, names)
tools = st.builds(
    lambda name, text, schema, strict: {
        "type": "function",
        "function": {"name": name, "description": text, "parameters": schema, "strict": strict},
    },
    names, words, schemas, st.booleans(),
)  # fmt: skip
forms = st.builds(
    lambda name, schema: {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}},
    names, schemas,
)  # fmt: skip
CHOSEN = {"type": "function", "function": {"name": "f"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [CHOSEN]}}
choices = st.sampled_from(["auto", "none", "required", CHOSEN, ALLOWED])
chats = st.fixed_dictionaries(
    {"model": st.just("gpt-4o"), "messages": st.lists(st.one_of(user, system, assistant, called, results), min_size=1)},
    optional={
        "tools": st.lists(tools, min_size=1, max_size=3),
        "tool_choice": choices,
        "response_format": forms,
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "verbosity": st.sampled_from(["low", "high"]),
        "parallel_tool_calls": st.booleans(),
    },
)


def parsed(dialect: str, body: dict[str, Any]) -> Call:
    return DIALECTS[dialect].parse(RawCall(dialect, json.dumps(body).encode()))


def flat(call: Call) -> list[tuple[str, Any]]:
    """Everything said, in order, and by whom; nothing of how it was wrapped."""
    return [(message.role, said) for message in call.messages for part in message.parts for said in _said(part)]


def _said(part: Part) -> list[Any]:
    match part:
        case Text(text):
            return [text] if text else []
        case ToolCall(name, arguments, id):
            return [(name, arguments, id)]
        case ToolResult(parts, _, id):
            return [(id, [said for inner in parts for said in _said(inner)])]
        case Media(kind, mime, data, url, detail):
            return [(kind, mime, data, url, detail)]
        case _:
            return [part]


@settings(max_examples=150)
@given(chats)
def test_both_say_the_same(chat: dict[str, Any]) -> None:
    sent, asked = parsed("openai-chat", chat), parsed("openai-responses", converted(chat))
    assert flat(asked) == flat(sent)
    assert (asked.model, asked.tools, asked.tool_choice, asked.schema) == (
        sent.model, sent.tools, sent.tool_choice, sent.schema,
    )  # fmt: skip


@settings(max_examples=60)
@given(chats)
def test_the_question_is_one_the_sdk_could_ask(chat: dict[str, Any]) -> None:
    body = json.dumps(chat).encode()
    found = APIS["openai"].question(RawCall("openai-chat", body), parsed("openai-chat", chat))
    asked = json.loads(found.body)
    assert asked.keys() <= InputTokenCountParams.__annotations__.keys()
    assert found.more == (CHAT_TOOLS_MORE if chat.get("tools") else CHAT_MORE)


def test_one_chat_in_full() -> None:
    chat = {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_object"},
        "max_tokens": 5,
    }
    assert converted(chat) == {
        "model": "gpt-5",
        "input": [
            {"type": "message", "role": "system", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "rain"},
            {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_object"}},
    }


SOUND = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}}
SAID = {"role": "user", "content": "Hi"}
UNASKED = {
    "functions": {"messages": [SAID], "functions": [{"name": "f", "parameters": {}}]},
    "search": {"messages": [SAID], "web_search_options": {"search_context_size": "low"}},
    "function result": {"messages": [SAID, {"role": "function", "name": "f", "content": "1"}]},
    "function call": {"messages": [SAID, {"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]},
    "spoken answer": {"messages": [SAID, {"role": "assistant", "audio": {"id": "a"}}]},
    "sound": {"messages": [{"role": "user", "content": [SOUND]}]},
    "PDF": {"messages": [{"role": "user", "content": [PDF]}]},
}


@pytest.mark.parametrize("body", UNASKED.values(), ids=UNASKED)
def test_what_responses_has_no_words_for(body: dict[str, Any]) -> None:
    chat = {"model": "gpt-4o", **body}
    raw = RawCall("openai-chat", json.dumps(chat).encode())
    with pytest.raises(Uncountable):
        APIS["openai"].question(raw, parsed("openai-chat", chat))
