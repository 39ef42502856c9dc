"""A host adds a hidden prompt: two workers learn it from their bills."""

from __future__ import annotations

import itertools

import httpx

from gateway.running import Gateway, running
from gateway.upstream import Answer, Seen, Upstream, serving, until

HIDDEN = 500
"""Tokens this provider adds to every prompt."""
MODEL = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "max_input_tokens": 100_000, "tokenizer": "o200k_base"}
ALIKE = 8
"""Requests in a row, each on a connection of its own, that must all be estimated to the token."""
_numbers = itertools.count(20)


async def bill(seen: Seen) -> Answer:
    """Words, a frame, and what nobody wrote."""
    prompt = len(seen.json()["messages"][0]["content"].split()) + 7 + HIDDEN
    usage = {"prompt_tokens": prompt, "completion_tokens": 1, "total_tokens": prompt + 1}
    return Answer.json({"id": "1", "object": "chat.completion", "choices": [], "usage": usage})


def off(gateway: Gateway) -> int:
    """How far the estimate of one more request is from its bill."""
    messages = [{"role": "user", "content": "weigh " * next(_numbers)}]
    body = {"model": "hides", "max_tokens": 5, "messages": messages}
    entry = gateway.entry(httpx.post(f"{gateway.url}/v1/chat/completions", json=body))
    return abs(entry.estimate - entry.input)


def test_workers_learn_from_each_other() -> None:
    live = {"counting": {"live": "on"}, "models": {"hides": MODEL}}
    with serving(Upstream(bill)) as url, running(url, {"policies": []}, workers=2, auth="none", **live) as gateway:
        assert off(gateway) > HIDDEN / 2
        until(lambda: all(off(gateway) <= 2 for _ in range(ALIKE)), "both workers to know the hidden prompt", 30)
        [lesson] = gateway.cli("accuracy", "--live")["lessons"]
        assert lesson["model"] == "hides" and abs(lesson["add"] - HIDDEN) <= 10 and lesson["bills"] > ALIKE
