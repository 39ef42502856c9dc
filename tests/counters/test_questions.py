"""Each provider's question and answer, pure; the examples are those of the providers' own pages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import Call, Media, Message, RawCall, Text, Tool, ToolCall
from weighbridge.counters import APIS
from weighbridge.counters.pangu import data
from weighbridge.counters.question import Question, Uncountable, Unreadable

WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather in a given location",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}


def question(counter: str, dialect: str, body: dict[str, Any], **raw: Any) -> Question:
    sent = RawCall(dialect, json.dumps(body).encode(), **raw)
    parsed = DIALECTS[dialect]
    call = (parsed.parse_count or parsed.parse)(sent) if sent.counts else parsed.parse(sent)
    return APIS[counter].question(sent, call)


def test_anthropic_asks_with_everything_that_weighs_and_nothing_else() -> None:
    weighs = {
        "model": "claude-opus-4-7",
        "system": "You are a scientist",
        "messages": [{"role": "user", "content": "What's the weather like?"}],
        "tools": [WEATHER],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 16_000},
    }
    found = question(
        "anthropic",
        "anthropic-messages",
        weighs | {"max_tokens": 17_000, "stream": True, "temperature": 1, "metadata": {"user_id": "u"}},
        headers={"anthropic-beta": "token-counting-2024-11-01,context-1m"},
    )
    assert (found.path, json.loads(found.body)) == ("/v1/messages/count_tokens", weighs)
    assert found.headers == {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "token-counting-2024-11-01,context-1m",
    }


def test_openai_responses_ask_with_their_own_members() -> None:
    weighs = {
        "model": "gpt-5",
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}],
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "reasoning": {"effort": "low"},
    }
    found = question("openai", "openai-responses", weighs | {"stream": True, "max_output_tokens": 99, "store": False})
    assert (found.path, json.loads(found.body)) == ("/v1/responses/input_tokens", weighs)
    assert (found.lasting, found.more) == (True, 0)
    grows = question("openai", "openai-responses", weighs | {"conversation": "conv_1"})
    assert not grows.lasting, "a stored conversation grows"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/v1beta/models/gemini-2.5-flash:countTokens"),
        ("/v1/models/gemini-2.5-flash:generateContent", "/v1/models/gemini-2.5-flash:countTokens"),
    ],
)
def test_gemini_asks_with_the_whole_request(path: str, asked: str) -> None:
    weighs = {
        "systemInstruction": {"parts": [{"text": "You are a cat."}]},
        "contents": [{"role": "user", "parts": [{"text": "Hello"}]}],
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "generationConfig": {"maxOutputTokens": 9},
    }
    found = question("gemini", "gemini-generate", weighs, model="gemini-2.5-flash", path=path)
    wrapped = {"generateContentRequest": {"model": "models/gemini-2.5-flash", **weighs}}
    assert found.path == asked
    assert json.loads(found.body) == wrapped
    again = question("gemini", "gemini-generate", wrapped, model="gemini-2.5-flash", counts=True)
    assert json.loads(again.body) == wrapped, "a request to count is asked as it came"


def test_a_model_name_cannot_leave_its_place_in_the_path() -> None:
    body = {"contents": [{"parts": [{"text": "Hello"}]}]}
    found = question("gemini", "gemini-generate", body, model="x?key=1#:generateContent")
    assert found.path == "/v1beta/models/x%3Fkey%3D1%23%3AgenerateContent:countTokens"


def pangu(*messages: Message, path: str = "/v1/p1/deployments/d1/chat/completions", **more: Any) -> Question:
    return APIS["pangu"].question(RawCall("pangu-chat", b"{}", path=path), Call("pangu-chat", "m", messages, **more))


def test_a_rerouted_call_asks_the_other_deployment() -> None:
    raw = RawCall("pangu-chat", b"{}", model="d2", path="/v1/p1/deployments/d1/chat/completions")
    found = APIS["pangu"].question(raw, Call("pangu-chat", "d2", (said("user", "a"),)))
    assert found.path == "/v1/p1/deployments/d2/caltokens"


def test_a_count_says_itself_what_is_to_be_counted() -> None:
    body = json.dumps({"data": ["a"], "with_prompt": False}).encode()
    raw = RawCall("pangu-chat", body, path="/v1/p1/deployments/d1/caltokens", counts=True)
    found = APIS["pangu"].question(raw, Call("pangu-chat", "d1", (said("user", "a"),)))
    assert json.loads(found.body) == {"data": ["a"], "with_prompt": False}


def said(role: Any, text: str) -> Message:
    return Message(role, (Text(text),))


def test_pangu_is_asked_as_its_page_says() -> None:
    found = pangu(said("user", "Hello, please introduce Xi'an."))
    assert found.path == "/v1/p1/deployments/d1/caltokens"
    assert json.loads(found.body) == {"data": ["Hello, please introduce Xi'an."], "with_prompt": True}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([said("user", "a"), said("assistant", "b"), said("user", "c")], ["a", "b", "c"]),
        ([said("system", "s"), said("user", "a")], ["s\na"]),
        ([said("user", "a"), said("user", "b")], ["a\nb"]),
    ],
    ids=["turn about", "system", "twice the user"],
)
def test_pangus_data_has_an_odd_length(messages: list[Message], turns: list[str]) -> None:
    assert data(tuple(messages)) == turns


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [said("assistant", "b")],
        [said("user", "a"), said("assistant", "b")],
        [Message("user", (Media("image", data="AA=="),))],
        [said("user", "a"), Message("assistant", (ToolCall("f", "{}"),)), said("user", "c")],
        [said("user", "a"), said("assistant", "b"), said("tool", "c")],
    ],
    ids=["nothing", "assistant", "even", "image", "tool call", "tool result"],
)
def test_what_pangu_cannot_count(messages: list[Message]) -> None:
    with pytest.raises(Uncountable):
        data(tuple(messages))


def test_pangu_needs_the_deployments_path_and_no_tools() -> None:
    with pytest.raises(Uncountable, match="path"):
        pangu(said("user", "a"), path="/v1/chat/completions")
    with pytest.raises(Uncountable, match="tools"):
        pangu(said("user", "a"), tools=(Tool("f"),))


def test_stored_prompts_cannot_be_asked() -> None:
    words = {"model": "gpt-4o", "input": "Hi", "prompt": {"id": "pmpt_1"}}
    with pytest.raises(Uncountable, match="stored prompts"):
        question("openai", "openai-responses", words)


ANSWERS = {
    "anthropic": ("anthropic", {"input_tokens": 403}, 403),
    "openai": ("openai", {"object": "response.input_tokens", "input_tokens": 11}, 11),
    "gemini": ("gemini", {"totalTokens": 31, "cachedContentTokenCount": 9, "promptTokensDetails": []}, 31),
    "pangu": ("pangu", {"tokens": ["Hello", ".", "Please", "introduce", "Xi'an", "."], "token_number": 6}, 6),
    "pangu without the number": ("pangu", {"tokens": ["Hello", "."]}, 2),
}


@pytest.mark.parametrize(("counter", "document", "tokens"), ANSWERS.values(), ids=ANSWERS)
def test_answers(counter: str, document: Any, tokens: int) -> None:
    assert APIS[counter].tokens(document) == tokens


@pytest.mark.parametrize("counter", APIS)
@pytest.mark.parametrize("document", [None, [], {}, 3, "3", {"input_tokens": "3", "totalTokens": 1.5, "tokens": 3}])
def test_answers_without_a_count(counter: str, document: Any) -> None:
    with pytest.raises(Unreadable):
        APIS[counter].tokens(document)
