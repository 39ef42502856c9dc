"""Four hundred at once against one dollar: never a nano-dollar over, nothing left held, nothing left unusable."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from gateway.running import Gateway, running
from gateway.upstream import Answer, Pause, Seen, Upstream, serving
from weighbridge.core.ledger import State

DOLLAR = 1_000_000_000
TOKEN = 1_000
"""Nano-dollars a token costs, prompt or answer: one dollar a million."""
MODEL = "penny"
REQUESTS = 400
ASKED = 20_000
"""Output tokens asked for: about fifty such requests can be held at a time."""
LIMIT = {"name": "one-dollar", "match": {}, "limit": {"usd": 1}, "window": "lifetime"}
MODELS = {
    MODEL: {
        "input_usd_per_mtok": 1,
        "output_usd_per_mtok": 1,
        "max_input_tokens": 100_000,
        "max_output_tokens": 1_000_000,
        "tokenizer": "o200k_base",
    }
}


def body(max_tokens: int) -> dict[str, Any]:
    """A request."""
    return {"model": MODEL, "max_tokens": max_tokens, "messages": [{"role": "user", "content": "Weigh this, please."}]}


async def bill(seen: Seen) -> Answer:
    """A provider that takes a moment and uses what `x-bill` says: prompt tokens, and how many thousandths of
    the output it was allowed."""
    prompt, thousandths = map(int, seen.headers["x-bill"].split("/"))
    output = seen.json()["max_tokens"] * thousandths // 1000
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    said = Answer.json({"id": "1", "object": "chat.completion", "choices": [], "usage": usage})
    return Answer((Pause(0.05), *said.steps))


@contextmanager
def four_workers(*, clamp: bool) -> Iterator[Gateway]:
    """A gateway with four workers and one dollar."""
    policies = {"policies": [LIMIT], "defaults": {"clamp_output": clamp}}
    with (
        serving(Upstream(bill)) as base_url,
        running(base_url, policies, workers=4, auth="none", models=MODELS, store_timeout_seconds=10) as started,
    ):
        yield started


@contextmanager
def sampled(gateway: Gateway) -> Iterator[list[State]]:
    """The budget's counter, looked at as often as possible while the block runs."""
    samples: list[State] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            samples.extend(gateway.counters("one-dollar").values())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()


async def rush(url: str) -> list[httpx.Response]:
    """All requests at once, each on a connection of its own, so that every worker gets its share."""
    limits = httpx.Limits(max_connections=REQUESTS, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        asks = (
            client.post("/v1/chat/completions", json=body(ASKED), headers={"x-bill": f"13/{i * 37 % 1000}"})
            for i in range(REQUESTS)
        )
        return await asyncio.gather(*asks)


def spent(gateway: Gateway) -> int:
    """Nano-dollars spent of the one dollar."""
    (state,) = gateway.counters("one-dollar").values()
    assert state.held == 0
    return state.spent


def send(gateway: Gateway, max_tokens: int, prompt: int) -> httpx.Response:
    """One more request, which uses all it is allowed."""
    headers = {"x-bill": f"{prompt}/1000"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body(max_tokens), headers=headers, timeout=30)
    gateway.quiet()
    return answer


def test_one_dollar() -> None:
    with four_workers(clamp=False) as gateway:
        statuses = _race(gateway)
        assert set(statuses) == {200, 429}
        _is_usable_to_the_last_token(gateway)


def test_one_dollar_with_answers_cut_to_what_is_left() -> None:
    with four_workers(clamp=True) as gateway:
        _race(gateway)
        upper = _upper(gateway)
        while (answer := send(gateway, ASKED, upper)).headers["x-weighbridge-decision"] == "admit":
            continue
        assert (answer.status_code, answer.headers["x-weighbridge-decision"]) == (200, "clamp")
        assert spent(gateway) == DOLLAR
        assert send(gateway, 1, upper).status_code == 429


def _race(gateway: Gateway) -> Counter[int]:
    """All at once; answers how many got which status."""
    with sampled(gateway) as samples:
        answers = asyncio.run(rush(gateway.url))
        gateway.quiet()
    statuses = Counter(answer.status_code for answer in answers)
    over = [state for state in samples if state.spent + state.held > DOLLAR]
    print(f"{dict(statuses)}; {len(samples)} samples, at most {max(s.spent + s.held for s in samples)} nano-dollars")
    assert not over, f"over the limit: {over[:3]}"
    assert max(state.held for state in samples) > DOLLAR // 2, "the race was none"
    _agrees_with_the_journal(gateway, statuses[200])
    return statuses


def _agrees_with_the_journal(gateway: Gateway, admitted: int) -> None:
    entries = gateway.entries()
    assert len(entries) == admitted, "a refusal writes nothing"
    assert spent(gateway) == sum(e.nano_usd for e in entries) == sum((e.input + e.output) * TOKEN for e in entries)
    assert sum(amount for e in entries for _, amount in e.charges) == spent(gateway)
    assert not any(e.overrun_nano_usd for e in entries)


def _is_usable_to_the_last_token(gateway: Gateway) -> None:
    upper = _upper(gateway)
    while (answer := send(gateway, ASKED, upper)).status_code == 200:
        continue
    left = DOLLAR - spent(gateway)
    assert left < (upper + ASKED) * TOKEN, "a request that fits was refused"
    part = answer.json()["error"]["weighbridge"]
    assert (part["spent"], part["held"], part["requested"]) == (DOLLAR - left, 0, (upper + ASKED) * TOKEN)
    fits = part["would_fit"]["max_tokens"]
    assert fits == left // TOKEN - upper
    assert send(gateway, fits + 1, upper).status_code == 429, "one token too many"
    assert send(gateway, fits, upper).status_code == 200, "one that fits exactly"
    assert spent(gateway) == DOLLAR
    assert send(gateway, 1, upper).status_code == 429


def _upper(gateway: Gateway) -> int:
    """Prompt tokens that are held for these requests."""
    return int(send(gateway, 1, 13).headers["x-weighbridge-input-tokens-upper"])
