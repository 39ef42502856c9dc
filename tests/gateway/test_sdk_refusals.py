"""A refusal raises the SDK's own exception, says why in both human and machine words, and ends there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.running import Gateway
from gateway.sdks import (
    CHAT_MODEL,
    CLAUDE,
    GEMINI,
    QUESTION,
    SDKS,
    Asking,
    anthropic_at,
    counted,
    genai_at,
    openai_at,
)
from gateway.upstream import Upstream, until

KeyOf = Callable[[str], str]
LONG = "The lorry weighs seven tons, and the next one nine. " * 40
PHRASES = {
    "openai": "maximum context length is 50 tokens",
    "openai-responses": "maximum context length is 50 tokens",
    "anthropic": "prompt is too long: ",
    "google-genai": "exceeds the maximum number of tokens allowed (50)",
}
"""What agents and proxies recognise as a full context window."""
BUDGET = {
    "openai": "insufficient_quota",
    "openai-responses": "insufficient_quota",
    "anthropic": "rate_limit_error",
    "google-genai": "RESOURCE_EXHAUSTED",
}


@pytest.fixture(params=list(SDKS))
def name(request: pytest.FixtureRequest) -> str:
    """An SDK's name."""
    named: str = request.param
    return named


@pytest.fixture
def sdk(name: str) -> Asking:
    """An SDK."""
    return SDKS[name]


def refused(sdk: Asking, status: int, url: str, key: str, prompt: str = QUESTION, *, model: str = "",
            retries: int = 0) -> Any:  # fmt: skip
    """The SDK's exception for a request that is refused with this status."""
    with pytest.raises(sdk.errors[status]) as caught:
        sdk.ask(url, key, model or sdk.model, prompt, retries)
    error: Any = caught.value
    assert getattr(error, "status_code", None) == status or error.code == status
    return error


def test_prompt_too_long(gateway: Gateway, key_of: KeyOf, name: str, sdk: Asking) -> None:
    error = refused(sdk, 400, gateway.url, key_of("short"), LONG)
    assert PHRASES[name] in str(error)
    part = sdk.weighbridge(error)
    assert (part["reason"], part["limit"]) == ("context_length", 50)
    assert part["requested"] > 50
    if name.startswith("openai"):
        assert sdk.code(error) == "context_length_exceeded"


def test_prompt_larger_than_the_window(gateway: Gateway, key_of: KeyOf) -> None:
    error = refused(SDKS["openai"], 400, gateway.url, key_of("free"), "weigh it " * 10000, model="gpt-4")
    assert SDKS["openai"].weighbridge(error)["reason"] == "context_length"


def test_budget_and_it_is_not_retried(gateway: Gateway, key_of: KeyOf, name: str, sdk: Asking) -> None:
    with counted(gateway.url) as (url, arrived):
        error = refused(sdk, 429, url, key_of("broke"), retries=-1)
    assert len(arrived) == 1
    assert sdk.code(error) == BUDGET[name]
    part = sdk.weighbridge(error)
    assert (part["reason"], part["policy"], part["scope"]) == ("budget", "all-broke", {"team": "broke"})
    assert (part["limit"], part["spent"], part["held"]) == (1, 0, 0)
    assert part["requested"] > 1 and part["would_fit"] is None
    assert part["resets_at"].endswith("01T00:00:00Z")
    assert int(error.response.headers["retry-after"]) > 0


def test_rate(gateway: Gateway, name: str, sdk: Asking) -> None:
    key = gateway.key("slow")["key"]
    sdk.ask(gateway.url, key, sdk.model, QUESTION, 0)
    error = refused(sdk, 429, gateway.url, key)
    part = sdk.weighbridge(error)
    assert (part["reason"], part["policy"], part["limit"]) == ("rate", "all-slow", 1)
    assert part["spent"] + part["held"] == 1
    assert 0 < int(error.response.headers["retry-after"]) <= 3600
    if name.startswith("openai"):
        assert sdk.code(error) == "rate_limit_exceeded"


def test_model_not_allowed(gateway: Gateway, key_of: KeyOf, sdk: Asking) -> None:
    error = refused(sdk, 403, gateway.url, key_of("cheap"))
    assert sdk.weighbridge(error)["reason"] == "model_not_allowed"
    assert "all-cheap" in str(error)


def test_unknown_key(gateway: Gateway, key_of: KeyOf, sdk: Asking) -> None:
    key_of("free")
    error = refused(sdk, 401, gateway.url, "wb-" + "x" * 43)
    assert sdk.weighbridge(error)["reason"] == "unknown_key"


def test_revoked_key(gateway: Gateway, sdk: Asking) -> None:
    made = gateway.key("free")
    sdk.ask(gateway.url, made["key"], sdk.model, QUESTION, 0)
    gateway.cli("key", "revoke", made["id"])

    def stopped() -> bool:
        try:
            sdk.ask(gateway.url, made["key"], sdk.model, QUESTION, 0)
        except sdk.errors[401]:
            return True
        return False

    until(stopped, "the revoked key to be refused", 2)


def test_expired_key(gateway: Gateway) -> None:
    made = gateway.key("free", expires=(datetime.now(UTC) + timedelta(seconds=8)).isoformat())
    sdk = SDKS["openai"]

    def stopped() -> bool:
        try:
            sdk.ask(gateway.url, made["key"], sdk.model, QUESTION, 0)
        except sdk.errors[401] as error:
            return "expired" in str(error)
        return False

    until(stopped, "the key to expire", 12)


def test_malformed(gateway: Gateway, key_of: KeyOf) -> None:
    key = key_of("free")
    wrong: Any = -5
    messages: Any = [{"role": "user", "content": QUESTION}]
    with (
        openai_at(gateway.url, key) as gpt,
        anthropic_at(gateway.url, key) as claude,
        closing(genai_at(gateway.url, key)) as google,
    ):
        tries: dict[str, Callable[[], Any]] = {
            "openai": lambda: gpt.chat.completions.create(model=CHAT_MODEL, messages=messages, max_tokens=wrong),
            "anthropic": lambda: claude.messages.create(model=CLAUDE, messages=messages, max_tokens=wrong),
            "google-genai": lambda: google.models.generate_content(
                model=GEMINI, contents=QUESTION, config={"max_output_tokens": wrong}
            ),
        }
        for name, attempt in tries.items():
            with pytest.raises(SDKS[name].errors[400]) as caught:
                attempt()
            assert SDKS[name].weighbridge(caught.value)["reason"] == "malformed"


def test_clamped_to_what_is_left(gateway: Gateway, upstream: Upstream) -> None:
    """A budget of 50 output tokens: the request is sent with a lower maximum instead of being refused."""
    with openai_at(gateway.url, gateway.key("narrow")["key"], default_headers={"x-replay": "clamped"}) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": QUESTION}], max_tokens=4000
        )
    assert raw.headers["x-weighbridge-decision"] == "clamp"
    assert upstream.of("clamped")[-1].json()["max_tokens"] == 50
    assert "all-narrow" in raw.headers["x-weighbridge-remaining"]
