"""Clients that leave in mid stream, two hundred at once: the ledger has the provider's bill."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway import provider
from gateway.bills import invoice
from gateway.provider import WORDS, sse
from gateway.running import Gateway, running
from gateway.sdks import CHAT_MODEL
from gateway.upstream import TAPE_HEADER, Answer, Pause, Upstream, Wait, serving, until

CLIENTS = 200
LIMIT: Any = {"policies": [{"name": "all", "match": {}, "limit": {"usd": 1000}, "window": "lifetime"}]}
BODY: Any = {"model": CHAT_MODEL, "stream": True, "messages": [{"role": "user", "content": "Weigh."}]}
IN, OUT = "input_cost_per_token", "output_cost_per_token"
LONG = 400


def words(count: int) -> tuple[bytes, ...]:
    return sse(*({"choices": [{"index": 0, "delta": {"content": WORDS[i % len(WORDS)]}}]} for i in range(count)))


def bill(client: int) -> tuple[int, int]:
    """(input, output) that the provider bills this client."""
    return 10 + client, 5 + 2 * client


def usage(client: int) -> bytes:
    prompt, output = bill(client)
    counts = {"prompt_tokens": prompt, "completion_tokens": output}
    return sse({"choices": [], "usage": counts}, done=True)[0]


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream(provider.answer)


@pytest.fixture(scope="module", params=["drain", "count", "drain few"])
def gateway(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[tuple[str, Gateway]]:
    few = {"drain_tokens": 50} if request.param == "drain few" else {}
    streams = {"on_disconnect": request.param.split()[0], **few}
    with serving(upstream) as base_url, running(base_url, LIMIT, workers=2, auth="none", streams=streams) as started:
        yield request.param, started


async def leave(url: str, names: list[str]) -> None:
    """Clients that go as soon as all of them have heard something."""
    limits = httpx.Limits(max_connections=CLIENTS)
    everybody = asyncio.Barrier(len(names))
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:

        async def one(name: str) -> None:
            headers = {TAPE_HEADER: name}
            async with client.stream("POST", "/v1/chat/completions", json=BODY, headers=headers) as response:
                await anext(response.aiter_raw())
                await everybody.wait()

        await asyncio.gather(*map(one, names))


def test_two_hundred_clients_leave(gateway: tuple[str, Gateway], upstream: Upstream) -> None:
    how, gate = gateway
    let_go = threading.Event()
    names = [f"{how} {i}" for i in range(CLIENTS)]
    for i, name in enumerate(names):
        upstream.tape[name] = Answer.stream(*words(3), Wait(let_go), *words(2), usage(i))
    asyncio.run(leave(gate.url, names))
    if how == "count":
        gate.quiet()
    let_go.set()
    until(lambda: len(gate.entries()) >= CLIENTS, "two hundred settlements")
    gate.quiet()
    entries = gate.entries()
    [state] = gate.counters("all").values()
    assert len(entries) == CLIENTS and state.spent == sum(entry.nano_usd for entry in entries)
    if how == "count":
        assert {entry.ending for entry in entries} == {"cut off: the client left"}
        assert all(3 <= entry.output <= 30 for entry in entries)
        return
    assert {entry.ending for entry in entries} == {"reported"}
    assert sorted((entry.input, entry.output) for entry in entries) == [bill(i) for i in range(CLIENTS)]
    owed = sum(invoice(CHAT_MODEL, {IN: prompt, OUT: output}) for prompt, output in map(bill, range(CLIENTS)))
    assert state.spent == owed


def test_reading_on_is_bounded_by_tokens(gateway: tuple[str, Gateway], upstream: Upstream) -> None:
    how, gate = gateway
    if how != "drain few":
        pytest.skip("read on for all of it")
    before = len(gate.entries())
    steps = [step for chunk in words(LONG) for step in (chunk, Pause(0.002))]
    upstream.tape["long"] = Answer.stream(*steps, usage(1))
    asyncio.run(leave(gate.url, ["long"]))
    until(lambda: len(gate.entries()) == before + 1, "the settlement")
    entry = gate.entries()[-1]
    assert entry.ending == "cut off: the client left"
    assert 50 <= entry.output < LONG
    assert not [seen for seen in upstream.sent_whole if seen.headers.get(TAPE_HEADER) == "long"]
