"""Streams over a transport that outgrow their hold: held for as they grow, ended where policy says so."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.crossings import CHAT_PATH, GROWN, LIBRARIES, STREAM, USUAL, Over, Yard
from adapters.sdks_over import (
    anthropic_over,
    async_anthropic_over,
    async_genai_over,
    async_openai_over,
    genai_over,
    openai_over,
)
from gateway.long_answers import LONG_ANSWERS, slowly
from gateway.provider import ANSWER
from gateway.upstream import TAPE_HEADER, Answer, until
from weighbridge.core.ledger import Counters, Entry, Extend, OpenHolds
from weighbridge.core.outbound import EXHAUSTED
from weighbridge.hooks import Closed

LONG = 300
"""Words of an answer that outgrows everything."""
PACE = 0.002
LONG_REQUEST = {**STREAM, "max_tokens": 1000}
Ask = Callable[[Yard, str, str, int], list[Any]]
"""(yard, SDK, team, how many usual ones) -> the long answer's events, as the SDK tells them."""


def ask(at: Yard, sdk: str, team: str, usual: int = USUAL) -> list[Any]:
    made: Any = {"openai": openai_over, "responses": openai_over, "anthropic": anthropic_over, "gemini": genai_over}[
        sdk
    ]
    say = LONG_ANSWERS[sdk].ask
    with made(at, team) as client:
        for _ in range(usual):
            assert list(say(client, {}))
        return list(say(client, {TAPE_HEADER: "long"}))


@asynccontextmanager
async def async_over(at: Yard, sdk: str, team: str) -> AsyncIterator[Any]:
    made: Any = {
        "openai": async_openai_over,
        "responses": async_openai_over,
        "anthropic": async_anthropic_over,
        "gemini": async_genai_over,
    }[sdk]
    async with made(at, team) as client:
        yield client


def ask_async(at: Yard, sdk: str, team: str, usual: int = USUAL) -> list[Any]:
    say = LONG_ANSWERS[sdk].ask

    async def asking() -> list[Any]:
        async with async_over(at, sdk, team) as client:
            for _ in range(usual):
                assert [event async for event in await say(client, {})]
            return [event async for event in await say(client, {TAPE_HEADER: "long"})]

    return asyncio.run(asking())


WAYS = {"threads": ask, "loop": ask_async}


def spent(at: Yard, policy: str) -> int:
    """Everything settled, what was charged on a policy's only counter."""
    until(lambda: not at.store.run(OpenHolds()), "every hold to be settled")
    [(_, state)] = at.store.run(Counters(policy))
    return state.spent


def last(at: Yard) -> tuple[Closed, Entry]:
    """The call that ended last, and its line in the journal."""
    closed = [event for event in at.events if isinstance(event, Closed)][-1]
    return closed, next(entry for entry in at.entries() if entry.id == closed.ticket.id)


@pytest.mark.parametrize("asked", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("sdk", LONG_ANSWERS)
def test_an_observed_stream_is_held_for_as_it_grows(at: Yard, sdk: str, asked: Ask) -> None:
    long = LONG_ANSWERS[sdk]
    at.upstream.tape["long"] = slowly(long.words(LONG) + long.end(LONG), PACE)
    heard = asked(at, sdk, "roomy", USUAL)
    assert len(heard) > LONG
    assert spent(at, "all-roomy") == USUAL * ANSWER + LONG
    closed, entry = last(at)
    assert (entry.ending, entry.output) == ("reported", LONG)
    admitted = at.events[at.events.index(closed) - 1].ticket  # type: ignore[union-attr]
    assert admitted.covered < LONG <= closed.ticket.covered


@pytest.mark.parametrize("asked", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("sdk", LONG_ANSWERS)
def test_a_stream_that_outgrows_its_budget_ends_like_any_other(at: Yard, sdk: str, asked: Ask) -> None:
    long = LONG_ANSWERS[sdk]
    at.upstream.tape["long"] = slowly(long.words(LONG), PACE)
    heard = asked(at, sdk, "grown", USUAL)
    assert ANSWER < len(heard) < LONG
    assert long.ends(heard) == 1
    assert USUAL * ANSWER < spent(at, "all-grown") <= GROWN
    assert last(at)[1].ending == f"cut off: {EXHAUSTED}"
    assert not [seen for seen in at.upstream.sent_whole if seen.headers.get(TAPE_HEADER) == "long"]


def test_no_chunk_waits_for_an_extension(at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked, let_go = at.store.run, threading.Event(), threading.Event()

    def slow(verb: Any) -> Any:
        if isinstance(verb, Extend):
            asked.set()
            assert let_go.wait(20)
        return run(verb)

    monkeypatch.setattr(at.store, "run", slow)
    long = LONG_ANSWERS["openai"]
    at.upstream.tape["long"] = Answer.stream(*long.words(LONG), *long.end(LONG))
    with openai_over(at, "roomy") as client:
        for _ in range(USUAL):
            list(long.ask(client, {}))
        assert len(list(long.ask(client, {TAPE_HEADER: "long"}))) > LONG
        assert asked.is_set()
        let_go.set()


async def test_no_chunk_waits_for_an_extension_in_a_loop(at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    run, let_go = at.async_guard.store.run, asyncio.Event()
    asked: list[Extend] = []

    async def slow(verb: Any) -> Any:
        if isinstance(verb, Extend):
            asked.append(verb)
            await let_go.wait()
        return await run(verb)

    monkeypatch.setattr(at.async_guard.store, "run", slow)
    long = LONG_ANSWERS["openai"]
    at.upstream.tape["long"] = Answer.stream(*long.words(LONG), *long.end(LONG))
    async with async_openai_over(at, "roomy") as client:
        for _ in range(USUAL):
            [event async for event in await long.ask(client, {})]
        assert len([event async for event in await long.ask(client, {TAPE_HEADER: "long"})]) > LONG
        assert len(asked) == 1
        let_go.set()


def packed(events: tuple[bytes, ...]) -> tuple[bytes, ...]:
    packer = zlib.compressobj(wbits=31)
    return tuple(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH) for event in events)


def taught(client: Any) -> None:
    for _ in range(USUAL):
        assert client.post(CHAT_PATH, json=LONG_REQUEST).status_code == 200


def test_a_stream_that_cannot_be_ended_is_broken_off(over: Over, at: Yard) -> None:
    words = packed(LONG_ANSWERS["openai"].words(LONG))
    at.upstream.tape["packed"] = slowly(words, PACE, **{"content-encoding": "gzip"})
    with over("grown") as client:
        taught(client)
        with pytest.raises(client.library.RemoteProtocolError, match=EXHAUSTED):
            client.post(CHAT_PATH, json=LONG_REQUEST, headers={TAPE_HEADER: "packed"})
    assert spent(at, "all-grown") <= GROWN
    assert last(at)[1].ending == f"cut off: {EXHAUSTED}"


def leave(client: Any) -> None:
    with client.stream("POST", CHAT_PATH, json=LONG_REQUEST, headers={TAPE_HEADER: "long"}) as answer:
        next(answer.iter_raw())


async def leave_async(at: Yard, team: str) -> None:
    library, transports = LIBRARIES["httpx2"]
    transport = transports.AsyncTransport(guard=at.async_guard, team=team)
    async with library.AsyncClient(base_url=at.url, transport=transport) as client:
        for _ in range(USUAL):
            await client.post(CHAT_PATH, json=LONG_REQUEST)
        async with client.stream("POST", CHAT_PATH, json=LONG_REQUEST, headers={TAPE_HEADER: "long"}) as answer:
            await anext(answer.aiter_raw())


@pytest.mark.parametrize(("team", "tokens", "why"), [("grown", 1000, EXHAUSTED), ("roomy", 30, "the client left")])
@pytest.mark.parametrize("loop", [False, True], ids=["threads", "loop"])
def test_a_stream_left_early_is_read_on_within_bounds(
    over: Over, at: Yard, monkeypatch: pytest.MonkeyPatch, loop: bool, team: str, tokens: int, why: str
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STREAMS__DRAIN_TOKENS", str(tokens))
    at.upstream.tape["long"] = slowly(LONG_ANSWERS["openai"].words(LONG), PACE)
    if loop:
        asyncio.run(leave_async(at, team))
    else:
        with over(team) as client:
            taught(client)
            leave(client)
    spent(at, f"all-{team}")
    entry = last(at)[1]
    assert entry.ending == f"cut off: {why}"
    assert ANSWER < entry.output < LONG
    assert not [seen for seen in at.upstream.sent_whole if seen.headers.get(TAPE_HEADER) == "long"]
