"""The official SDKs over a weighbridge transport: they work as they do without, and the ledger is the bill."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors as genai_errors

from adapters.crossings import CHAT, LIBRARIES, Yard
from adapters.sdks_over import (
    anthropic_over,
    async_anthropic_over,
    async_genai_over,
    async_openai_over,
    genai_over,
    made_with,
    openai_over,
)
from gateway.provider import ANSWER, PROMPT, TEXT, TOOL
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
)

CLAUDE_CHAT: Any = {"model": CLAUDE, "max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}]}
WEIGHED = json.loads(TOOL["arguments"])


def test_openai(at: Yard) -> None:
    with openai_over(at) as client:
        raw = client.chat.completions.with_raw_response.create(**CHAT)
        called = client.chat.completions.create(**CHAT, tools=[OPENAI_TOOL])
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
        with client.chat.completions.stream(**CHAT, tools=[OPENAI_TOOL]) as stream:  # type: ignore[call-overload]
            built = stream.get_final_completion()
        completed = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=QUESTION, max_tokens=20)
        vectors = client.embeddings.create(model="text-embedding-3-small", input=QUESTION, encoding_format="float")
        assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]
    assert (raw.parse().choices[0].message.content, completed.choices[0].text) == (TEXT, TEXT)
    assert json.loads(called.choices[0].message.tool_calls[0].function.arguments) == WEIGHED  # type: ignore
    assert json.loads(built.choices[0].message.tool_calls[0].function.arguments) == WEIGHED
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT, "no chunk without choices"
    assert vectors.data[0].embedding == [0.25, -0.5]
    entry = at.entry(raw)
    assert (entry.team, entry.model, entry.input, entry.output) == ("free", CHAT_MODEL, PROMPT, ANSWER)
    at.balanced(prompt_only=1)


def test_openai_responses(at: Yard) -> None:
    with openai_over(at) as client:
        answer = client.responses.create(model=CHAT_MODEL, input=QUESTION)
        called = client.responses.create(model=CHAT_MODEL, input=QUESTION, tools=[RESPONSES_TOOL])
        with client.responses.stream(model=CHAT_MODEL, input=QUESTION) as stream:
            streamed = stream.get_final_response()
    at.balanced()
    assert (answer.output_text, streamed.output_text) == (TEXT, TEXT)
    assert json.loads(called.output[0].arguments) == WEIGHED  # type: ignore


@ASKS_FOR_COUNTS
def test_openai_count(at: Yard) -> None:
    with openai_over(at) as client:
        counted = client.responses.input_tokens.count(model=CHAT_MODEL, input=QUESTION)
    assert 5 < counted.input_tokens < 20
    assert at.billed() == 0, "counted here, and not at the provider"


def test_openai_with_a_client_of_the_library_it_is_made_with(at: Yard) -> None:
    library, transports = LIBRARIES[made_with("openai")]
    http = library.Client(transport=transports.Transport(guard=at.guard, team="free"))
    with openai.OpenAI(base_url=f"{at.url}/v1", api_key="sk-mine", http_client=http) as client:
        raw = client.chat.completions.with_raw_response.create(**CHAT)
        chunks = list(client.chat.completions.create(**CHAT, stream=True))
    assert (raw.parse().choices[0].message.content, at.entry(raw).team) == (TEXT, "free")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    at.balanced()


async def test_openai_async(at: Yard) -> None:
    async with async_openai_over(at) as client:
        answer = await client.chat.completions.create(**CHAT)
        stream = await client.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True})
        chunks = [chunk async for chunk in stream]
        async with client.responses.stream(model=CHAT_MODEL, input=QUESTION, tools=[RESPONSES_TOOL]) as events:
            called = await events.get_final_response()
    assert answer.choices[0].message.content == TEXT
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens == PROMPT + ANSWER
    assert json.loads(called.output[0].arguments) == WEIGHED  # type: ignore
    at.balanced()


def test_anthropic(at: Yard) -> None:
    with anthropic_over(at) as client:
        raw = client.messages.with_raw_response.create(**CLAUDE_CHAT)
        called = client.messages.create(**CLAUDE_CHAT, tools=[ANTHROPIC_TOOL])
        with client.messages.stream(**CLAUDE_CHAT) as stream:
            streamed = "".join(stream.text_stream)
        events = [event.type for event in client.messages.create(**CLAUDE_CHAT, stream=True)]
        counted = client.messages.count_tokens(model=CLAUDE, messages=CLAUDE_CHAT["messages"])
    assert (raw.parse().content[0].text, streamed) == (TEXT, TEXT)
    assert called.content[0].input == WEIGHED  # type: ignore
    assert (events[0], events[-1]) == ("message_start", "message_stop")
    assert 5 < counted.input_tokens < 30
    assert at.entry(raw).input == PROMPT
    at.balanced()


async def test_anthropic_async(at: Yard) -> None:
    async with async_anthropic_over(at) as client:
        answer = await client.messages.create(**CLAUDE_CHAT, system="Be short.")
        async with client.messages.stream(**CLAUDE_CHAT, tools=[ANTHROPIC_TOOL]) as stream:
            built = await stream.get_final_message()
    assert answer.content[0].text == TEXT  # type: ignore[union-attr]
    assert built.content[0].input == WEIGHED  # type: ignore
    at.balanced()


def test_genai(at: Yard) -> None:
    with genai_over(at) as client:
        answer = client.models.generate_content(model=GEMINI, contents=QUESTION)
        called = client.models.generate_content(model=GEMINI, contents=QUESTION, config=_with_tools())
        streamed = "".join(c.text or "" for c in client.models.generate_content_stream(model=GEMINI, contents=QUESTION))
        counted = client.models.count_tokens(model=GEMINI, contents=QUESTION)
    assert (answer.text, streamed) == (TEXT, TEXT)
    assert called.function_calls is not None and called.function_calls[0].args == WEIGHED
    assert counted.total_tokens is not None and 3 < counted.total_tokens < 20
    at.balanced()


async def test_genai_async(at: Yard) -> None:
    async with async_genai_over(at) as client:
        answer = await client.models.generate_content(model=GEMINI, contents=QUESTION, config=_with_tools())
        stream = await client.models.generate_content_stream(model=GEMINI, contents=QUESTION)
        streamed = "".join([chunk.text or "" async for chunk in stream])
    assert answer.function_calls is not None and answer.function_calls[0].args == WEIGHED
    assert streamed == TEXT
    at.balanced()


def _with_tools() -> Any:
    return {"tools": [GEMINI_TOOL], "automatic_function_calling": {"disable": True}}


def test_refused_in_each_sdk_s_own_exception_and_not_retried(at: Yard) -> None:
    with openai_over(at, "broke") as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**CHAT)
    assert caught.value.code == "insufficient_quota" and "all-broke" in str(caught.value)
    assert caught.value.response.headers["x-should-retry"] == "false"
    with anthropic_over(at, "broke") as claude, pytest.raises(anthropic.RateLimitError) as limited:
        claude.messages.create(**CLAUDE_CHAT)
    assert limited.value.body["error"]["weighbridge"]["policy"] == "all-broke"  # type: ignore
    with genai_over(at, "broke") as google, pytest.raises(genai_errors.ClientError) as exhausted:
        google.models.generate_content(model=GEMINI, contents=QUESTION)
    assert (exhausted.value.code, exhausted.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert not at.upstream.seen and not at.entries()
    assert len([event for event in at.events if type(event).__name__ == "TurnedAway"]) == 3


async def test_refused_async(at: Yard) -> None:
    async with async_openai_over(at, "short") as client:
        with pytest.raises(openai.BadRequestError, match="maximum context length is 50 tokens"):
            await client.chat.completions.create(
                model=CHAT_MODEL, messages=[{"role": "user", "content": "The lorry weighs seven tons. " * 40}]
            )
    async with async_anthropic_over(at, "broke") as claude:
        with pytest.raises(anthropic.RateLimitError):
            await claude.messages.create(**CLAUDE_CHAT)
    async with async_genai_over(at, "broke") as google:
        with pytest.raises(genai_errors.ClientError):
            await google.models.generate_content(model=GEMINI, contents=QUESTION)
    assert not at.upstream.seen and not at.entries()


def test_left_early_and_drained(at: Yard) -> None:
    with openai_over(at) as client:
        for _ in client.chat.completions.create(**CHAT, stream=True):
            break
        with client.chat.completions.create(**CHAT, stream=True) as stream:
            next(iter(stream))
    with anthropic_over(at) as claude, claude.messages.stream(**CLAUDE_CHAT) as opened:
        next(iter(opened.text_stream))
    at.balanced()


async def test_left_early_and_drained_async(at: Yard) -> None:
    async with async_openai_over(at) as client:
        stream = await client.chat.completions.create(**CHAT, stream=True)
        await anext(aiter(stream))
        await stream.close()
    async with async_anthropic_over(at) as claude, claude.messages.stream(**CLAUDE_CHAT) as opened:
        await anext(aiter(opened.text_stream))
    at.balanced()


def test_many_threads_over_one_transport(at: Yard) -> None:
    with openai_over(at) as client, ThreadPoolExecutor(8) as pool:
        streamed = [pool.submit(lambda: list(client.chat.completions.create(**CHAT, stream=True))) for _ in range(24)]
        plain = [pool.submit(lambda: client.chat.completions.create(**CHAT)) for _ in range(24)]
        assert all(done.result() for done in streamed + plain)
    at.balanced()
    assert at.billed() == 48
