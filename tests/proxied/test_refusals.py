"""What the plugin refuses behind LiteLLM reaches each SDK as its provider's own error, and costs nothing."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors

from gateway.sdks import QUESTION, anthropic_at, openai_at
from proxied.conftest import Rig
from proxied.running import key_of

SAID: Any = [{"role": "user", "content": QUESTION}]
Outcome = tuple[type[Exception], int]


def chat(url: str, team: str, stream: bool) -> Any:
    with openai_at(url, key_of(team), max_retries=0) as client:
        return client.chat.completions.create(model="fast", messages=SAID, stream=stream)


def chat_at_anthropic(url: str, team: str, stream: bool) -> Any:
    with openai_at(url, key_of(team), max_retries=0) as client:
        return client.chat.completions.create(model="claude", messages=SAID, stream=stream)


def messages_at_openai(url: str, team: str, stream: bool) -> Any:
    with anthropic_at(url, key_of(team), max_retries=0) as client:
        return client.messages.create(model="fast", max_tokens=64, messages=SAID, stream=stream)


def responses(url: str, team: str, stream: bool) -> Any:
    with openai_at(url, key_of(team), max_retries=0) as client:
        return client.responses.create(model="fast", input=QUESTION, stream=stream)


def words(url: str, team: str, stream: bool) -> Any:
    with openai_at(url, key_of(team), max_retries=0) as client:
        return client.completions.create(model="words", prompt=QUESTION, stream=stream)


def vectors(url: str, team: str, stream: bool) -> Any:
    with openai_at(url, key_of(team), max_retries=0) as client:
        return client.embeddings.create(model="vectors", input=QUESTION)


def messages(url: str, team: str, stream: bool) -> Any:
    with anthropic_at(url, key_of(team), max_retries=0) as client:
        return client.messages.create(model="claude", max_tokens=64, messages=SAID, stream=stream)


def passed(url: str, team: str, stream: bool) -> Any:
    with anthropic_at(f"{url}/anthropic", key_of(team), max_retries=0) as client:
        return client.messages.create(model="claude-haiku-4-5", max_tokens=64, messages=SAID, stream=stream)


def contents(url: str, team: str, stream: bool) -> Any:
    client = genai.Client(api_key=key_of(team), http_options={"base_url": url, "api_version": "v1beta"})
    if stream:
        return list(client.models.generate_content_stream(model="gem", contents=QUESTION))
    return client.models.generate_content(model="gem", contents=QUESTION)


def sdk(url: str, team: str, stream: bool) -> Any:
    import litellm

    asked: Any = {"model": "openai/fast", "messages": SAID, "api_base": f"{url}/v1", "api_key": key_of(team)}
    return litellm.completion(**asked, stream=stream, max_retries=0)


ROUTES: dict[str, tuple[Any, type[Exception]]] = {
    "chat": (chat, openai.RateLimitError),
    "chat, at Anthropic": (chat_at_anthropic, openai.RateLimitError),
    "responses": (responses, openai.RateLimitError),
    "completions": (words, openai.RateLimitError),
    "embeddings": (vectors, openai.RateLimitError),
    "messages": (messages, anthropic.RateLimitError),
    "messages, at OpenAI": (messages_at_openai, anthropic.RateLimitError),
    "messages, passed through": (passed, anthropic.RateLimitError),
    "contents": (contents, genai_errors.ClientError),
    "the litellm SDK": (sdk, openai.RateLimitError),
}


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::UserWarning"
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("ask", "error"), ROUTES.values(), ids=ROUTES)
def test_out_of_budget(ask: Any, error: type[Exception], stream: bool, rig: Rig) -> None:
    with pytest.raises(error, match="all-broke") as raised:
        ask(rig.url, "broke", stream)
    assert getattr(raised.value, "status_code", None) == 429 or raised.value.code == 429  # type: ignore[attr-defined]
    assert rig.settled() == [] and not rig.upstream.seen


def test_headers_tell_what_to_do_on_every_route(rig: Rig) -> None:
    told = {
        "/v1/chat/completions": {"model": "fast", "messages": SAID},
        "/v1/messages": {"model": "claude", "max_tokens": 64, "messages": SAID},
        "/anthropic/v1/messages": {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": SAID},
        "/v1/completions": {"model": "words", "prompt": QUESTION},
    }
    for path, body in told.items():
        with rig.client("broke") as client:
            answer = client.post(path, json=body)
        assert answer.status_code == 429, path
        assert int(answer.headers["retry-after"]) > 0 and answer.headers["x-should-retry"] == "false", path
        machine = answer.json()["error"]["weighbridge"]
        assert (machine["policy"], machine["scope"]) == ("all-broke", {"team": "broke"}), path


def test_too_long_is_too_long_in_the_providers_words(rig: Rig) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        chat(rig.url, "short", stream=False)
    assert raised.value.code == "context_length_exceeded"


def test_a_model_that_is_not_allowed_goes_by_its_real_name(rig: Rig) -> None:
    with rig.client("cheap") as client:
        assert client.post("/v1/chat/completions", json={"model": "fast", "messages": SAID}).status_code == 200
        refused = client.post("/v1/chat/completions", json={"model": "claude", "messages": SAID, "max_tokens": 9})
    assert refused.status_code == 403
    assert [entry.model for entry in rig.settled()] == ["gpt-4o-mini"]


def test_a_clamp_reaches_the_provider(rig: Rig) -> None:
    with rig.client("narrow") as client:
        chat = client.post("/v1/chat/completions", json={"model": "fast", "messages": SAID, "max_tokens": 500})
        asked = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
        more = {**asked, "generationConfig": {"maxOutputTokens": 500}}
        gemini = client.post("/v1beta/models/gem:generateContent", json=more)
    assert [answer.headers["x-weighbridge-decision"] for answer in (chat, gemini)] == ["clamp", "clamp"]
    first, second = (seen.json() for seen in rig.upstream.seen)
    assert first.get("max_tokens", first.get("max_completion_tokens")) == 50
    assert second["generationConfig"]["maxOutputTokens"] == 43
    rig.settled()


def test_two_workers_share_one_budget(rig: Rig) -> None:
    with rig.client("slow") as client:
        statuses = [
            client.post("/v1/chat/completions", json={"model": "fast", "messages": SAID}).status_code for _ in range(4)
        ]
    assert sorted(statuses) == [200, 429, 429, 429]
    rig.settled()
