"""A real LiteLLM proxy, wrapped: on every route, however it went, the ledger says what the provider bills."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google import genai

from gateway.provider import TEXT, TOOL
from gateway.sdks import (
    ANTHROPIC_TOOL,
    GEMINI_TOOL,
    OPENAI_TOOL,
    QUESTION,
    RESPONSES_TOOL,
    anthropic_at,
    openai_at,
)
from gateway.upstream import until
from proxied.conftest import Rig
from proxied.running import key_of

KEY = key_of("free")
SAID: Any = [{"role": "user", "content": QUESTION}]
CONTENTS: Any = [{"role": "user", "parts": [{"text": QUESTION}]}]
WEIGHED = json.loads(TOOL["arguments"])


def chat(url: str, model: str) -> None:
    with openai_at(url, KEY) as client:
        answer = client.chat.completions.create(model=model, messages=SAID)
        called = client.chat.completions.create(model=model, messages=SAID, tools=[OPENAI_TOOL])
        chunks = list(client.chat.completions.create(model=model, messages=SAID, stream=True))
    assert answer.choices[0].message.content == TEXT
    assert json.loads(called.choices[0].message.tool_calls[0].function.arguments) == WEIGHED  # type: ignore
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert all(chunk.usage is None for chunk in chunks), "nobody asked for it"


def responses(url: str, model: str) -> None:
    with openai_at(url, KEY) as client:
        assert client.responses.create(model=model, input=QUESTION).output_text == TEXT
        called = client.responses.create(model=model, input=QUESTION, tools=[RESPONSES_TOOL])
        with client.responses.stream(model=model, input=QUESTION) as stream:
            assert stream.get_final_response().output_text == TEXT
    assert json.loads(called.output[0].arguments) == WEIGHED  # type: ignore


def messages(url: str, model: str) -> None:
    with anthropic_at(url, KEY) as client:
        asked: Any = {"model": model, "max_tokens": 64, "messages": SAID}
        assert client.messages.create(**asked).content[0].text == TEXT  # type: ignore
        called = client.messages.create(**asked, tools=[ANTHROPIC_TOOL])
        with client.messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == TEXT
    assert called.content[0].input == WEIGHED  # type: ignore


def contents(url: str, model: str) -> None:
    # LiteLLM has Google's routes under /v1beta alone.
    client = genai.Client(api_key=KEY, http_options={"base_url": url, "api_version": "v1beta"})
    tools: Any = {"tools": [GEMINI_TOOL], "automatic_function_calling": {"disable": True}}
    assert client.models.generate_content(model=model, contents=QUESTION).text == TEXT
    called = client.models.generate_content(model=model, contents=QUESTION, config=tools)
    stream = client.models.generate_content_stream(model=model, contents=QUESTION)
    assert "".join(chunk.text or "" for chunk in stream) == TEXT
    client.close()
    assert called.function_calls is not None and called.function_calls[0].args == WEIGHED


def words(url: str, model: str) -> None:
    with openai_at(url, KEY) as client:
        assert client.completions.create(model=model, prompt=QUESTION, max_tokens=20).choices[0].text == TEXT
        pieces = client.completions.create(model=model, prompt=QUESTION, stream=True, max_tokens=20)
        assert "".join(piece.choices[0].text or "" for piece in pieces if piece.choices) == TEXT
        again = client.completions.create(model=model, prompt=QUESTION, max_tokens=20, n=1)
    assert again.choices


def vectors(url: str, model: str) -> None:
    with openai_at(url, KEY) as client:
        for _ in range(3):
            client.embeddings.create(model=model, input=QUESTION, encoding_format="float")


def litellm_sdk(url: str, model: str) -> None:
    import litellm

    asked: Any = {"model": f"openai/{model}", "messages": SAID, "api_base": f"{url}/v1", "api_key": KEY}
    assert litellm.completion(**asked).choices[0].message.content == TEXT
    called = litellm.completion(**asked, tools=[OPENAI_TOOL])
    chunks = litellm.completion(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert json.loads(called.choices[0].message.tool_calls[0].function.arguments) == WEIGHED


SDKS: dict[str, tuple[Callable[[str, str], None], str, str]] = {
    "chat": (chat, "", "fast"),
    "chat, at Anthropic": (chat, "", "claude"),
    "responses": (responses, "", "fast"),
    "messages": (messages, "", "claude"),
    "messages, at OpenAI": (messages, "", "fast"),
    "contents": (contents, "", "gem"),
    "completions": (words, "", "words"),
    "embeddings": (vectors, "", "vectors"),
    "the litellm SDK": (litellm_sdk, "", "fast"),
    "the litellm SDK, at Anthropic": (litellm_sdk, "", "claude"),
    "chat, passed through": (chat, "/openai", "gpt-4o-mini"),
    "chat, through a route of one's own": (chat, "/there", "gpt-4o-mini"),
    "responses, through a route of one's own": (responses, "/there", "gpt-4o-mini"),
    "messages, passed through": (messages, "/anthropic", "claude-haiku-4-5"),
    "contents, passed through": (contents, "/gemini", "gemini-2.5-flash"),
}


# The litellm SDK leaves its connections to the end of the process.
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::UserWarning"
)
@pytest.mark.parametrize(("ask", "under", "model"), SDKS.values(), ids=SDKS)
def test_whole_streamed_and_with_tools(ask: Callable[[str, str], None], under: str, model: str, rig: Rig) -> None:
    ask(rig.url + under, model)
    entries = rig.settled()
    assert len(entries) == 3
    assert {(e.org, e.team, e.user, e.key, e.tags["plan"]) for e in entries} == {
        ("acme", "free", "ada", "key-free", "gold")
    }


CHAT = "/v1/chat/completions"


def test_the_client_leaves_what_passes_through(rig: Rig) -> None:
    asked = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": SAID, "stream": True}
    with rig.client() as client, client.stream("POST", "/there/slow/v1/messages", json=asked) as answer:
        assert answer.status_code == 200
        next(answer.iter_raw())
    until(lambda: rig.upstream.sent_whole, "the answer to be read to its end all the same")
    rig.settled()


def test_a_client_that_asks_again_has_asked_twice(rig: Rig) -> None:
    """What passes through is retried by nobody but the client: each attempt is held and ended by itself."""
    with anthropic_at(f"{rig.url}/there/flaky", KEY, max_retries=1) as client:
        client.messages.create(model="claude-haiku-4-5", max_tokens=64, messages=SAID)
    assert (len(rig.settled()), rig.bill.failures) == (1, 1)


def test_a_fallback_the_request_asks_for(rig: Rig) -> None:
    with rig.client() as client:
        asked = {"model": "flaky-claude", "messages": SAID, "fallbacks": ["fast"]}
        assert client.post(CHAT, json=asked).status_code == 200
    assert len(rig.settled()) == 1 and rig.bill.failures


def test_a_fallback_is_held_at_the_dearest_price(rig: Rig) -> None:
    with rig.client() as client:
        alone = client.post(CHAT, json={"model": "claude", "messages": SAID, "max_tokens": 1000})
        fallen = client.post(CHAT, json={"model": "broken-fast", "messages": SAID, "max_tokens": 1000})
        cheap = client.post(CHAT, json={"model": "fast", "messages": SAID, "max_tokens": 1000})
    held = [float(answer.headers["x-weighbridge-held-usd"]) for answer in (alone, fallen, cheap)]
    assert held[0] == held[1] > held[2] * 5
    dear, same, less = rig.settled()
    assert dear.nano_usd == same.nano_usd > less.nano_usd, "settled at the price of who answered"


def test_nothing_is_charged_where_all_fail(rig: Rig) -> None:
    with rig.client() as client:
        asked = {"model": "broken-fast", "messages": SAID, "disable_fallbacks": True}
        assert client.post(CHAT, json=asked).status_code == 500
    assert rig.settled() == []


def test_who_litellm_turns_away_is_not_weighed(rig: Rig) -> None:
    with rig.client() as client:
        headers = {"authorization": "Bearer nobody"}
        assert client.post(CHAT, json={"model": "fast", "messages": SAID}, headers=headers).status_code >= 400
        assert client.post(CHAT, json={"model": "no-such", "messages": SAID}).status_code in (400, 403, 404)
        assert client.get("/v1/models").status_code == 200
    assert rig.settled() == []
