"""Pangu through the gateway: the path names the model, the key goes by its own header, counts are answered here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.provider import ANSWER, PROMPT
from gateway.running import Gateway
from gateway.upstream import Upstream

DEPLOYED = "/v1/p-1/deployments/d-1"
SAY = [{"role": "user", "content": "Weigh."}]
CHAT: dict[str, Any] = {"model": "whatever", "messages": SAY, "max_tokens": 50}


def test_a_chat_is_forwarded_and_settled(gateway: Gateway, key_of: Callable[[str], str], upstream: Upstream) -> None:
    headers = {"x-auth-token": key_of("free")}
    answer = httpx.post(f"{gateway.url}{DEPLOYED}/chat/completions", json=CHAT, headers=headers)
    assert answer.status_code == 200
    seen = upstream.seen[-1]
    assert seen.path == f"{DEPLOYED}/chat/completions" and seen.json() == CHAT
    assert seen.headers["x-auth-token"] == "token-of-pangu" and "authorization" not in seen.headers
    entry = gateway.entry(answer)
    assert (entry.model, entry.provider, entry.input, entry.output) == ("d-1", "pangu", PROMPT, ANSWER)


def test_another_deployment_is_another_path(gateway: Gateway, key_of: Callable[[str], str], upstream: Upstream) -> None:
    headers = {"x-auth-token": key_of("moved")}
    httpx.post(f"{gateway.url}{DEPLOYED}/chat/completions", json=CHAT, headers=headers)
    seen = upstream.seen[-1]
    assert seen.path == "/v1/p-1/deployments/d-2/chat/completions" and seen.json()["model"] == "d-2"


def test_counts_are_answered_here(gateway: Gateway, key_of: Callable[[str], str], upstream: Upstream) -> None:
    before = len(upstream.seen)
    body = {"data": ["Weigh and be weighed."], "with_prompt": True}
    answer = httpx.post(f"{gateway.url}{DEPLOYED}/caltokens", json=body, headers={"x-auth-token": key_of("free")})
    assert answer.json() == {"tokens": [], "token_number": 6} and len(upstream.seen) == before


@pytest.mark.parametrize("data", [[], ["a", "b"], "a", [1]], ids=repr)
def test_what_cannot_be_counted(gateway: Gateway, key_of: Callable[[str], str], data: Any) -> None:
    answer = httpx.post(
        f"{gateway.url}{DEPLOYED}/caltokens", json={"data": data}, headers={"x-auth-token": key_of("free")}
    )
    assert answer.status_code == 400 and answer.json()["error"]["weighbridge"]["reason"] == "malformed"
