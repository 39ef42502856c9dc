"""What calls weigh: documented counts, the family behind the dialect, bounds, limits."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import pytest
from prompts import GPT, GPT5, WEATHER, user, weighed

from weighbridge.core.model import (
    Estimate,
    Media,
    Message,
    Model,
    OutputSchema,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
)

CLAUDE = Model("claude-sonnet-4-5", "claude-sonnet-4-5", "anthropic", max_input=200_000)
GEMINI = Model("gemini-2.5-flash", "gemini/gemini-2.5-flash", "gemini")
LLAMA = Model("llama-3.3-70b-versatile", "groq/llama-3.3-70b-versatile", "other")
MODELS = [GPT, GPT5, CLAUDE, GEMINI, LLAMA]
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480)).decode()


def in_sum(found: Estimate) -> int:
    p = found.parts
    return p.messages + p.system + p.tools + p.media + p.schema + p.frame


JARGON = (
    Message(
        "system",
        (Text("You are a helpful, pattern-following assistant that translates corporate jargon into plain English."),),
    ),
    Message("system", (Text("New synergies will help drive top-line growth."),), "example_user"),
    Message("system", (Text("Things working well together will increase revenue."),), "example_assistant"),
    Message(
        "system",
        (Text("Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."),),
        "example_user",
    ),
    Message("system", (Text("Let's talk later when we're less busy about how to do better."),), "example_assistant"),
    user("This late pivot means we don't have time to boil the ocean for the client deliverable."),
)


@pytest.mark.parametrize(
    ("name", "vocabulary", "tokens"),
    [("gpt-3.5-turbo-0301", "cl100k_base", 127), ("gpt-4-0613", "cl100k_base", 129), ("gpt-4o", "o200k_base", 124)],
)
def test_the_cookbooks_example(name: str, vocabulary: str, tokens: int) -> None:
    """Printed by the API in OpenAI's cookbook."""
    found = weighed(Model(name, name, "openai", vocabulary), *JARGON)
    assert (found.tokens, found.method) == (tokens, f"{vocabulary} exact")


def test_newer_models_bill_one_less() -> None:
    assert weighed(GPT, user("hello")).tokens - weighed(GPT5, user("hello")).tokens == 1


def test_tools_join_the_system_message() -> None:
    system = Message("system", (Text("Be brief."),))
    plain, offered = weighed(GPT, system, user("hi")), weighed(GPT, system, user("hi"), tools=(WEATHER,))
    assert (plain.parts.tools, plain.parts.frame, offered.parts.system) == (0, 11, plain.parts.system)
    assert 30 < offered.tokens - plain.tokens < 60


HISTORY = (
    user("Weather in Paris?"),
    Message("assistant", (ToolCall("get_weather", '{"city": "Paris"}', "c1"),)),
    Message("tool", (ToolResult((Text("Sunny, 24 C"),), id="c1"),)),
)
EVERYTHING = (
    Message("system", (Text("Be brief."),)),
    *HISTORY,
    user(
        "And this?",
        Media("image", "image/png", PNG),
        Media("document", "application/pdf", "JVBERi0xLjQ="),
        Media("audio", "audio/wav", "AAAA"),
    ),
    Message("assistant", (Thinking("hm", "c2ln" * 500), Text("A boat."))),
    user("Go on."),
)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses", "anthropic-messages", "gemini-generate"])
def test_parts_add_up_in_every_family_and_dialect(model: Model, dialect: str) -> None:
    schema = OutputSchema("answer", {"type": "object", "properties": {"a": {"type": "string"}}})
    found = weighed(model, *EVERYTHING, dialect=dialect, tools=(WEATHER,), schema=schema, tool_choice="=get_weather")
    assert in_sum(found) == found.tokens <= found.upper
    assert min(found.parts.messages, found.parts.system, found.parts.media, found.parts.tools) > 0
    assert found.whole


def test_the_real_model_decides_not_the_dialect() -> None:
    asked = [weighed(CLAUDE, *HISTORY, dialect=d, tools=(WEATHER,)) for d in ("openai-chat", "anthropic-messages")]
    assert asked[0] == asked[1]
    assert "claude" in asked[0].method
    assert asked[0].tokens > 500 + weighed(GPT, *HISTORY, tools=(WEATHER,)).tokens - 100


def test_blanks_in_arguments_are_free() -> None:
    spaced = Message("assistant", (ToolCall("get_weather", '{ "city" :  "Paris" }', "c1"),))
    assert weighed(GPT, HISTORY[0], spaced, HISTORY[2]) == weighed(GPT, *HISTORY)


@pytest.mark.parametrize("dialect", ["openai-completions", "openai-embeddings"])
def test_bare_inputs_have_no_frame(dialect: str) -> None:
    assert weighed(GPT, user("hello world"), dialect=dialect).tokens == 2
    assert weighed(GPT, dialect=dialect, extra={"prompt_tokens": 17}).tokens == 17


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
@pytest.mark.parametrize(
    ("part", "word"),
    [
        (Unseen("previous_response_id resp_1"), "previous_response_id resp_1"),
        (Unseen("file file-\n9"), "file file-?9"),
        (Media("image", url="https://example.com/a.png"), "image by address"),
        (Media("video", url="gs://bucket/a.mp4"), "video by address"),
        (Unseen("something new"), "something new"),
    ],
    ids=["conversation", "file", "image", "video", "unknown"],
)
def test_nothing_unseen_is_free(model: Model, part: Part, word: str) -> None:
    seen, found = weighed(model, user("hi")), weighed(model, user("hi", part))
    assert found.upper >= seen.upper + 1000
    assert f"not seen: {word}" in found.method


def test_many_unseen_things_are_named_shortly() -> None:
    found = weighed(GPT, user(*(Unseen(f"file {i}") for i in range(100))))
    assert "96 more" in found.method
    assert len(found.method) < 300
    assert found.upper <= 128_000


def test_a_system_message_joined_with_tools_hides_nothing() -> None:
    stored = Message("system", (Text("Be brief."), Unseen("conversation conv_1")))
    found = weighed(GPT, stored, user("hi"), tools=(WEATHER,))
    assert "conversation conv_1" in found.method


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_a_tool_at_the_provider_is_named(model: Model) -> None:
    found = weighed(model, user("hi"), tools=(Tool("web_search", server="web_search_20250305"),))
    assert "tool web_search_20250305 (up to" in found.method


@pytest.mark.parametrize("role", ["system", "user"])
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_counting_stops_at_the_limit(model: Model, role: str) -> None:
    huge = Message(role, (Text("All work and no play makes Jack a dull boy. " * 500_000),))  # type: ignore[arg-type]
    found = weighed(model, huge, limit=5000, tools=(WEATHER,))
    assert not found.whole
    assert 5000 < found.tokens < 5000 + 8192
    assert found.upper >= found.tokens == in_sum(found)
    assert "up to the limit" in found.method


def test_a_limit_that_is_not_passed_changes_nothing() -> None:
    assert weighed(GPT, *HISTORY, limit=128_000) == weighed(GPT, *HISTORY)


def test_an_unseen_image_is_bounded_by_its_models_geometry() -> None:
    mini = replace(GPT, name="gpt-4o-mini")
    for part in (Unseen("image file file-1"), Media("image", url="https://example.com/a.png")):
        assert weighed(mini, user(part)).upper > 30_000
        assert weighed(GPT, user(part)).upper < 1_300


def test_thoughts_kept_by_the_provider_are_unseen_until_the_user_speaks_again() -> None:
    call = Message("assistant", (ToolCall("get_weather", "{}", "c1"),))
    kept, answer = Message("assistant", (Thinking(),)), Message("tool", (ToolResult((Text("mild"),), id="c1"),))
    open_turn = weighed(GPT, user("hi"), kept, call, answer, dialect="openai-responses")
    assert "not seen: reasoning kept by the provider" in open_turn.method
    closed = weighed(GPT, user("hi"), kept, call, answer, user("go on"), dialect="openai-responses")
    assert "not seen" not in closed.method
