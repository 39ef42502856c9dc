"""`POST /weighbridge/check` foretells what the request would get, and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.bodies import GOOD, machine_part, with_prompt
from gateway.running import Gateway
from gateway.upstream import Upstream

KeyOf = Callable[[str], str]
FORMATS = pytest.mark.parametrize("format", list(GOOD))
MODEL_IN_PATH = {"gemini-generate": "gemini-2.5-flash"}


def check(gateway: Gateway, key: str, format: str, body: dict[str, Any], **query: str) -> httpx.Response:
    """The foretelling of a request."""
    headers = {"authorization": f"Bearer {key}"}
    if format in MODEL_IN_PATH:
        query["model"] = MODEL_IN_PATH[format]
    url = f"{gateway.url}/weighbridge/check"
    return httpx.post(url, json=body, headers=headers, params=query, timeout=30)


def send(gateway: Gateway, key: str, format: str, body: dict[str, Any]) -> httpx.Response:
    """The request itself."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{gateway.url}{GOOD[format][0]}", json=body, headers=headers, timeout=30)


@FORMATS
@pytest.mark.parametrize("said", [True, False], ids=["dialect-said", "dialect-guessed"])
def test_what_would_pass(gateway: Gateway, key_of: KeyOf, upstream: Upstream, format: str, said: bool) -> None:
    key, body = key_of("free"), GOOD[format][1]
    gateway.quiet()
    before, reached, written = gateway.counters(), len(upstream.seen), len(gateway.entries())
    foretold = check(gateway, key, format, body, **({"dialect": format} if said else {}))
    assert foretold.status_code == 200, foretold.text
    assert (gateway.counters(), len(upstream.seen), len(gateway.entries())) == (before, reached, written)
    verdict = foretold.json()
    answer = send(gateway, key, format, body)
    assert (verdict["decision"], answer.headers["x-weighbridge-decision"]) == ("admit", "admit")
    assert str(verdict["estimate"]["tokens"]) == answer.headers["x-weighbridge-input-tokens"]
    assert str(verdict["estimate"]["upper"]) == answer.headers["x-weighbridge-input-tokens-upper"]
    assert verdict["nano_usd"] == gateway.entry(answer).held_nano_usd
    (scope,) = verdict["scopes"]
    assert (scope["policy"], scope["scope"], scope["unit"]) == ("all-free", {"team": "free"}, "nano_usd")
    assert (scope["limit"], scope["requested"]) == (1000 * 10**9, verdict["nano_usd"])


@pytest.mark.parametrize("team", ["broke", "short", "cheap"])
@FORMATS
def test_what_would_be_refused(gateway: Gateway, key_of: KeyOf, team: str, format: str) -> None:
    key, body = key_of(team), with_prompt(format, "The lorry weighs seven tons. " * 40)
    verdict = check(gateway, key, format, body, dialect=format).json()
    refusal = send(gateway, key, format, body)
    part = machine_part(format, refusal)
    assert (verdict["decision"], verdict["reason"]) == ("refuse", part["reason"])
    assert verdict["scopes"] == part["scopes"]
    assert verdict["would_fit"] == part["would_fit"]


def test_what_would_be_clamped(gateway: Gateway) -> None:
    key = gateway.key("narrow")["key"]
    body = {**GOOD["openai-chat"][1], "max_tokens": 4000}
    verdict = check(gateway, key, "openai-chat", body).json()
    answer = send(gateway, key, "openai-chat", body)
    assert (verdict["decision"], answer.headers["x-weighbridge-decision"]) == ("clamp", "clamp")
    assert verdict["would_fit"] == {"max_tokens": 50}


def test_what_cannot_be_read(gateway: Gateway, key_of: KeyOf) -> None:
    url, headers = f"{gateway.url}/weighbridge/check", {"authorization": f"Bearer {key_of('free')}"}
    for body in (b"", b"[]", b'{"what": "is this"}'):
        answer = httpx.post(url, content=body, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (400, "malformed")
    unknown = httpx.post(url, json=GOOD["openai-chat"][1], headers=headers, params={"dialect": "klingon"})
    assert unknown.status_code == 400


def test_what_would_be_malformed(gateway: Gateway, key_of: KeyOf) -> None:
    verdict = check(gateway, key_of("free"), "openai-chat", {"model": 1, "messages": []}).json()
    assert (verdict["decision"], verdict["reason"]) == ("refuse", "malformed")


def test_it_asks_for_a_key_too(gateway: Gateway, key_of: KeyOf) -> None:
    key_of("free")
    answer = httpx.post(f"{gateway.url}/weighbridge/check", json=GOOD["openai-chat"][1])
    assert (answer.status_code, answer.json()["reason"]) == (401, "unknown_key")
