"""`counting.remote: always`: the gateway asks the provider as its own SDK would, and answers with its count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.bodies import GOOD
from gateway.running import Gateway, running
from gateway.sdks import ANTHROPIC_TOOL, CHAT_MODEL, CLAUDE, GEMINI, QUESTION, RESPONSES_TOOL, anthropic_at, openai_at
from gateway.upstream import Answer, Seen, Upstream, serving

COUNTS = {
    "/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": 1234},
    "/v1/messages/count_tokens": {"input_tokens": 1234},
    f"/v1beta/models/{GEMINI}:countTokens": {"totalTokens": 1234},
}


async def counting(seen: Seen) -> Answer:
    return Answer.json(COUNTS[seen.path])


@pytest.fixture(scope="module")
def provider() -> Upstream:
    return Upstream(counting)


@pytest.fixture(scope="module")
def provider_url(provider: Upstream) -> Iterator[str]:
    with serving(provider) as url:
        yield url


@pytest.fixture(scope="module")
def asking(provider_url: str) -> Iterator[Gateway]:
    with running(provider_url, {"policies": []}, auth="none", counting={"remote": "always"}) as started:
        yield started


def _anthropic(url: str) -> int:
    with anthropic_at(url, "sk-of-anthropic") as client:
        return client.messages.count_tokens(
            model=CLAUDE,
            system="You weigh lorries.",
            messages=[{"role": "user", "content": QUESTION}],
            tools=[ANTHROPIC_TOOL],
            tool_choice={"type": "auto"},
            thinking={"type": "enabled", "budget_tokens": 1024},
        ).input_tokens


def _anthropic_beta(url: str) -> int:
    with anthropic_at(url, "sk-of-anthropic") as client:
        messages: Any = [{"role": "user", "content": QUESTION}]
        return client.beta.messages.count_tokens(model=CLAUDE, messages=messages, betas=["context-1m"]).input_tokens


def _openai(url: str) -> int:
    with openai_at(url, "sk-of-openai") as client:
        return client.responses.input_tokens.count(
            model=CHAT_MODEL, instructions="Be brief.", input=QUESTION, tools=[RESPONSES_TOOL]
        ).input_tokens


SDKS: dict[str, Callable[[str], int]] = {
    "anthropic": _anthropic,
    "anthropic beta": _anthropic_beta,
    "openai": _openai,
}
MEANT = ("anthropic-version", "anthropic-beta", "content-type")


@pytest.mark.parametrize("count", SDKS.values(), ids=SDKS)
def test_asked_as_the_sdk_asks(asking: Gateway, provider: Upstream, provider_url: str, count: Any) -> None:
    del provider.seen[:]
    assert count(provider_url) == count(asking.url) == 1234
    directly, through = provider.seen
    assert through.json() == directly.json()
    assert through.path == directly.path
    assert {name: through.headers.get(name) for name in MEANT} == {name: directly.headers.get(name) for name in MEANT}


def test_gemini_is_asked_for_the_whole_request(asking: Gateway, provider: Upstream) -> None:
    body = GOOD["gemini-generate"][1]
    wrapped = {"generateContentRequest": {"model": f"models/{GEMINI}", **body}}
    answer = httpx.post(f"{asking.url}/v1beta/models/{GEMINI}:countTokens", json=wrapped)
    assert answer.json() == {"totalTokens": 1234}
    assert answer.headers["x-weighbridge-count-method"] == "gemini countTokens"
    assert provider.seen[-1].headers["x-goog-api-key"] == "sk-of-gemini"
    assert provider.seen[-1].json() == wrapped


def test_a_provider_that_is_gone() -> None:
    counting_settings = {"remote": "always", "timeout_seconds": 10}
    with running("http://127.0.0.1:1", {"policies": []}, auth="none", counting=counting_settings) as alone:
        answer = httpx.post(f"{alone.url}/v1/messages/count_tokens", json=GOOD["anthropic-messages"][1])
    assert answer.status_code == 200 and answer.json()["input_tokens"] > 0
    assert "offline: anthropic did not answer (ConnectError)" in answer.headers["x-weighbridge-count-method"]
