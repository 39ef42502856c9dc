"""Prompts over a policy's limit that find another way: the oldest turns left out, or another model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gateway.bodies import GOOD, refused
from gateway.running import Gateway
from gateway.upstream import Upstream

KeyOf = Callable[[str], str]
LONG = "weigh this " * 100
FIELDS = {"openai-chat": "messages", "openai-responses": "input", "anthropic-messages": "messages"}


def send(gateway: Gateway, key: str, format: str, body: dict[str, Any]) -> httpx.Response:
    path = GOOD[format][0]
    return httpx.post(gateway.url + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=30)


@pytest.mark.parametrize("format", FIELDS)
def test_the_oldest_turns_are_left_out(gateway: Gateway, key_of: KeyOf, upstream: Upstream, format: str) -> None:
    turns = [{"role": role, "content": f"{i}: {LONG}"} for i in range(5) for role in ("user", "assistant")]
    last = {"role": "user", "content": "And now?"}
    answer = send(gateway, key_of("trimmed"), format, {**GOOD[format][1], FIELDS[format]: [*turns, last]})
    assert (answer.status_code, answer.headers["x-weighbridge-decision"]) == (200, "trim")
    sent = upstream.seen[-1].json()[FIELDS[format]]
    assert sent == [*turns, last][-len(sent) :], "the newest turns, as they were"
    assert 1 <= len(sent) < len(turns) and sent[0]["role"] == "user" and sent[-1] == last
    assert int(answer.headers["x-weighbridge-input-tokens-upper"]) <= 600


def test_system_and_tool_pairs_stay_whole(gateway: Gateway, key_of: KeyOf, upstream: Upstream) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "scale", "arguments": "{}"}}
    messages = [
        {"role": "system", "content": "You weigh."},
        {"role": "user", "content": LONG * 5},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42 kg"},
        {"role": "assistant", "content": "It weighs 42 kg."},
        {"role": "user", "content": "Thanks."},
    ]
    answer = send(gateway, key_of("trimmed"), "openai-chat", {"model": "gpt-4o-mini", "messages": messages})
    assert answer.headers["x-weighbridge-decision"] == "trim"
    assert upstream.seen[-1].json()["messages"] == [messages[0], messages[-1]]


def test_a_last_turn_that_is_too_long_is_refused(gateway: Gateway, key_of: KeyOf) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": LONG * 10}]}
    refused("openai-chat", send(gateway, key_of("trimmed"), "openai-chat", body), 400, "context_length")


@pytest.mark.parametrize("format", ["openai-chat", "openai-responses"])
def test_another_model_takes_it(gateway: Gateway, key_of: KeyOf, upstream: Upstream, format: str) -> None:
    answer = send(gateway, key_of("rerouted"), format, GOOD[format][1])
    assert (answer.status_code, answer.headers["x-weighbridge-decision"]) == (200, "reroute")
    assert upstream.seen[-1].json() == {**GOOD[format][1], "model": "gpt-4.1-mini"}
    assert gateway.entry(answer).model == "gpt-4.1-mini"


def test_a_model_in_the_path_is_exchanged_there(gateway: Gateway, key_of: KeyOf, upstream: Upstream) -> None:
    answer = send(gateway, key_of("rerouted"), "gemini-generate", GOOD["gemini-generate"][1])
    assert answer.headers["x-weighbridge-decision"] == "reroute"
    assert upstream.seen[-1].path == "/v1beta/models/gpt-4.1-mini:generateContent"
