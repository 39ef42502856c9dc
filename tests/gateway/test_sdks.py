"""The official SDKs work against the gateway as they do against their provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.provider import ANSWER, PROMPT, TEXT, TOOL
from gateway.running import Gateway
from gateway.sdks import (
    ANTHROPIC_TOOL,
    ASKS_FOR_COUNTS,
    CHAT_MODEL,
    CLAUDE,
    GEMINI,
    GEMINI_TOOL,
    OPENAI_TOOL,
    QUESTION,
    RESPONSES_TOOL,
    anthropic_at,
    async_anthropic_at,
    async_openai_at,
    genai_at,
    openai_at,
)

KeyOf = Callable[[str], str]
CHAT: Any = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": QUESTION}]}
CLAUDE_CHAT: Any = {"model": CLAUDE, "max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}]}
WEIGHED = json.loads(TOOL["arguments"])


@pytest.fixture
def at(gateway: Gateway, key_of: KeyOf) -> tuple[str, str]:
    """Base URL and key: all that changes."""
    return gateway.url, key_of("free")


def test_openai_chat(at: tuple[str, str], gateway: Gateway) -> None:
    with openai_at(*at) as client:
        raw = client.chat.completions.with_raw_response.create(**CHAT)
        answer = raw.parse()
        called = client.chat.completions.create(**CHAT, tools=[OPENAI_TOOL])
        chunks = client.chat.completions.create(**CHAT, stream=True)
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert (answer.choices[0].message.content, streamed) == (TEXT, TEXT)
    assert answer.usage is not None and answer.usage.prompt_tokens == PROMPT
    assert json.loads(called.choices[0].message.tool_calls[0].function.arguments) == WEIGHED
    entry = gateway.entry(raw)
    assert (entry.team, entry.model, entry.input, entry.output) == ("free", CHAT_MODEL, PROMPT, ANSWER)


def test_openai_stream_helper_with_tools(at: tuple[str, str]) -> None:
    with openai_at(*at) as client, client.chat.completions.stream(**CHAT, tools=[OPENAI_TOOL]) as stream:
        final = stream.get_final_completion()
    assert json.loads(final.choices[0].message.tool_calls[0].function.arguments) == WEIGHED  # type: ignore


def test_openai_responses_completions_embeddings(at: tuple[str, str]) -> None:
    with openai_at(*at) as client:
        answer = client.responses.create(model=CHAT_MODEL, input=QUESTION)
        called = client.responses.create(model=CHAT_MODEL, input=QUESTION, tools=[RESPONSES_TOOL])
        with client.responses.stream(model=CHAT_MODEL, input=QUESTION) as stream:
            streamed = stream.get_final_response()
        completed = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=QUESTION, max_tokens=20)
        pieces = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=QUESTION, stream=True, max_tokens=20)
        text = "".join(piece.choices[0].text for piece in pieces)
        vectors = client.embeddings.create(model="text-embedding-3-small", input=QUESTION, encoding_format="float")
    assert (answer.output_text, streamed.output_text, completed.choices[0].text, text) == (TEXT,) * 4
    assert json.loads(called.output[0].arguments) == WEIGHED  # type: ignore
    assert vectors.data[0].embedding == [0.25, -0.5]


async def test_openai_async(at: tuple[str, str]) -> None:
    async with async_openai_at(*at) as client:
        answer = await client.chat.completions.create(**CHAT)
        stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        response = await client.responses.create(model=CHAT_MODEL, input=QUESTION)
        async with client.responses.stream(model=CHAT_MODEL, input=QUESTION, tools=[RESPONSES_TOOL]) as events:
            called = await events.get_final_response()
        vectors = await client.embeddings.create(
            model="text-embedding-3-small", input=[QUESTION], encoding_format="float"
        )
    assert (answer.choices[0].message.content, response.output_text) == (TEXT, TEXT)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == TEXT
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == PROMPT + ANSWER
    assert json.loads(called.output[0].arguments) == WEIGHED  # type: ignore
    assert vectors.usage.total_tokens == PROMPT


def test_openai_model_list(at: tuple[str, str]) -> None:
    with openai_at(*at) as client:
        assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]


@ASKS_FOR_COUNTS
def test_openai_count(at: tuple[str, str]) -> None:
    with openai_at(*at) as client:
        counted = client.responses.input_tokens.count(model=CHAT_MODEL, input=QUESTION)
    assert 5 < counted.input_tokens < 20


def test_anthropic_messages(at: tuple[str, str], gateway: Gateway) -> None:
    with anthropic_at(*at) as client:
        raw = client.messages.with_raw_response.create(**CLAUDE_CHAT)
        answer = raw.parse()
        called = client.messages.create(**CLAUDE_CHAT, tools=[ANTHROPIC_TOOL])
        with client.messages.stream(**CLAUDE_CHAT) as stream:
            streamed = "".join(stream.text_stream)
        with client.messages.stream(**CLAUDE_CHAT, tools=[ANTHROPIC_TOOL]) as stream:
            built = stream.get_final_message()
        events = [event.type for event in client.messages.create(**CLAUDE_CHAT, stream=True)]
    assert (answer.content[0].text, streamed) == (TEXT, TEXT)
    assert called.content[0].input == built.content[0].input == WEIGHED  # type: ignore
    assert (events[0], events[-1]) == ("message_start", "message_stop")
    assert gateway.entry(raw).input == PROMPT


async def test_anthropic_async(at: tuple[str, str]) -> None:
    async with async_anthropic_at(*at) as client:
        answer = await client.messages.create(**CLAUDE_CHAT, system="Be short.")
        async with client.messages.stream(**CLAUDE_CHAT, tools=[ANTHROPIC_TOOL]) as stream:
            built = await stream.get_final_message()
        counted = await client.messages.count_tokens(model=CLAUDE, messages=CLAUDE_CHAT["messages"])
    assert answer.content[0].text == TEXT
    assert built.content[0].input == WEIGHED  # type: ignore
    assert built.usage.output_tokens == ANSWER
    assert 5 < counted.input_tokens < 30


def test_anthropic_count_with_beta_header(at: tuple[str, str]) -> None:
    with anthropic_at(*at) as client:
        plain = client.messages.count_tokens(model=CLAUDE, messages=CLAUDE_CHAT["messages"])
        beta = client.beta.messages.count_tokens(
            model=CLAUDE, messages=CLAUDE_CHAT["messages"], betas=["token-counting-2024-11-01"]
        )
        with_tools = client.messages.count_tokens(
            model=CLAUDE, messages=CLAUDE_CHAT["messages"], tools=[ANTHROPIC_TOOL]
        )
    assert plain.input_tokens == beta.input_tokens < with_tools.input_tokens


def test_genai(at: tuple[str, str]) -> None:
    client = genai_at(*at)
    answer = client.models.generate_content(model=GEMINI, contents=QUESTION)
    called = client.models.generate_content(model=GEMINI, contents=QUESTION, config=_with_tools())
    streamed = "".join(c.text or "" for c in client.models.generate_content_stream(model=GEMINI, contents=QUESTION))
    counted = client.models.count_tokens(model=GEMINI, contents=QUESTION)
    chat = client.chats.create(model=GEMINI)
    said = [chat.send_message(QUESTION).text, "".join(c.text or "" for c in chat.send_message_stream(QUESTION))]
    client.close()
    assert (answer.text, streamed, said) == (TEXT, TEXT, [TEXT, TEXT])
    assert called.function_calls is not None and called.function_calls[0].args == WEIGHED
    assert answer.usage_metadata is not None and answer.usage_metadata.prompt_token_count == PROMPT
    assert counted.total_tokens is not None and 3 < counted.total_tokens < 20


async def test_genai_async(at: tuple[str, str]) -> None:
    client = genai_at(*at).aio
    answer = await client.models.generate_content(model=GEMINI, contents=QUESTION, config=_with_tools())
    stream = await client.models.generate_content_stream(model=GEMINI, contents=QUESTION)
    streamed = "".join([chunk.text or "" async for chunk in stream])
    counted = await client.models.count_tokens(model=GEMINI, contents=QUESTION)
    await client.aclose()
    assert answer.function_calls is not None and answer.function_calls[0].args == WEIGHED
    assert streamed == TEXT
    assert counted.total_tokens is not None and counted.total_tokens > 3


def _with_tools() -> Any:
    return {"tools": [GEMINI_TOOL], "automatic_function_calling": {"disable": True}}
