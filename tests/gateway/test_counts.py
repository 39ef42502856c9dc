"""The providers' count routes are answered here: offline, whole, in the provider's own shape, for nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.bodies import GOOD, machine_part, with_prompt
from gateway.running import Gateway
from gateway.upstream import Upstream

KeyOf = Callable[[str], str]
COUNTS: dict[str, tuple[str, str]] = {
    "openai-responses": ("/v1/responses/input_tokens", "input_tokens"),
    "anthropic-messages": ("/v1/messages/count_tokens", "input_tokens"),
    "gemini-generate": ("/v1beta/models/gemini-2.5-flash:countTokens", "totalTokens"),
}
"""Format -> (route, the member that holds the count)."""
FORMATS = pytest.mark.parametrize("format", list(COUNTS))
WORDS = "weighed and found wanting, "


def count(gateway: Gateway, key: str, format: str, body: dict[str, Any]) -> httpx.Response:
    """The answer of the count route."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{gateway.url}{COUNTS[format][0]}", json=body, headers=headers, timeout=60)


@FORMATS
def test_nothing_is_sent_held_or_charged(gateway: Gateway, key_of: KeyOf, upstream: Upstream, format: str) -> None:
    key = key_of("broke")
    before = len(upstream.seen), len(gateway.entries()), gateway.counters()
    answer = count(gateway, key, format, GOOD[format][1])
    assert answer.status_code == 200, "a count costs nothing, so a budget cannot forbid it"
    assert (len(upstream.seen), len(gateway.entries()), gateway.counters()) == before


@FORMATS
def test_the_count_is_that_of_the_request(gateway: Gateway, key_of: KeyOf, format: str) -> None:
    path, body = GOOD[format]
    key, member = key_of("free"), COUNTS[format][1]
    sent = httpx.post(f"{gateway.url}{path}", json=body, headers={"authorization": f"Bearer {key}"})
    assert str(count(gateway, key, format, body).json()[member]) == sent.headers["x-weighbridge-input-tokens"]


@FORMATS
def test_prompts_beyond_the_window_are_counted_to_their_end(gateway: Gateway, key_of: KeyOf, format: str) -> None:
    once, twice = (
        count(gateway, key_of("free"), format, with_prompt(format, WORDS * n)).json()[COUNTS[format][1]]
        for n in (250_000, 500_000)
    )
    assert once > 1_100_000 and abs(twice - 2 * once) < once / 100


@FORMATS
def test_what_cannot_be_counted(gateway: Gateway, key_of: KeyOf, format: str) -> None:
    answer = count(gateway, key_of("free"), format, with_prompt(format, WORDS) | {"tools": 7})
    assert answer.status_code == 400
    assert machine_part(format, answer)["reason"] == "malformed"
    assert count(gateway, "wb-" + "x" * 43, format, GOOD[format][1]).status_code == 401


def test_each_embedding_input_has_the_window_for_itself(gateway: Gateway, key_of: KeyOf) -> None:
    headers = {"authorization": f"Bearer {key_of('free')}"}
    long, url = WORDS * 1000, f"{gateway.url}/v1/embeddings"
    fits = {"model": "text-embedding-3-small", "input": [long] * 4}
    assert httpx.post(url, json=fits, headers=headers).status_code == 200, "four times 5,000 tokens"
    refused = httpx.post(url, json={**fits, "input": long * 2}, headers=headers)
    assert refused.status_code == 400, "once 10,000 tokens"
    assert machine_part("openai-embeddings", refused)["reason"] == "context_length"
