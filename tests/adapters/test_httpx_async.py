"""The transports in an event loop: whoever leaves, is cancelled or forgets, what was used is charged."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from adapters.crossings import CHAT, CHAT_PATH, CHUNKS, LIBRARIES, STREAM, USAGE_CHUNK, Yard
from gateway.provider import ANSWER, TEXT
from gateway.upstream import SILENCE, TAPE_HEADER, Answer, Break, Wait
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Entries, OpenHolds, Settle

AsyncOver = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(params=list(LIBRARIES))
def over(at: Yard, request: pytest.FixtureRequest) -> AsyncOver:
    """Makes a client of one of the libraries, over its transport."""
    library, transports = LIBRARIES[request.param]

    @asynccontextmanager
    async def client(team: str = "free") -> AsyncIterator[Any]:
        transport = transports.AsyncTransport(guard=at.async_guard, team=team)
        async with library.AsyncClient(base_url=at.url, transport=transport) as opened:
            opened.library = library
            yield opened

    return client


def slow(at: Yard) -> threading.Event:
    """Puts an answer on the tape that stops after its first chunk, until the event is set."""
    let_go = threading.Event()
    at.upstream.tape["slow"] = Answer.stream(CHUNKS[0], Wait(let_go), *CHUNKS[1:], *USAGE_CHUNK)
    return let_go


async def test_plain_and_streamed(over: AsyncOver, at: Yard) -> None:
    async with over() as client:
        answers = await asyncio.gather(*(client.post(CHAT_PATH, json=CHAT) for _ in range(8)))
        streamed = await client.post(CHAT_PATH, json=STREAM)
        assert (await client.get("/v1/models")).status_code == 200
    assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {TEXT}
    assert "usage" not in streamed.text
    at.balanced()


async def test_the_first_byte_arrives_before_the_second_chunk_exists(over: AsyncOver, at: Yard) -> None:
    let_go = slow(at)
    headers = {TAPE_HEADER: "slow"}
    async with over() as client, client.stream("POST", CHAT_PATH, json=STREAM, headers=headers) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == CHUNKS[0] and not at.upstream.sent_whole
        let_go.set()
        assert b"".join([piece async for piece in pieces]) == b"".join(CHUNKS[1:]) + USAGE_CHUNK[1]
    at.balanced()


@pytest.mark.parametrize("on_disconnect", ["drain", "count"])
async def test_left_early(over: AsyncOver, at: Yard, monkeypatch: pytest.MonkeyPatch, on_disconnect: str) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STREAMS__ON_DISCONNECT", on_disconnect)
    let_go = slow(at)
    headers = {TAPE_HEADER: "slow"}
    async with over() as client:
        async with client.stream("POST", CHAT_PATH, json=STREAM, headers=headers) as answer:
            await anext(answer.aiter_raw())
        let_go.set()
    entry = at.entry(answer)
    told = {"drain": ("reported", ANSWER), "count": ("cut off: the client left", 1)}
    assert (entry.ending, entry.output) == told[on_disconnect]


async def test_drained_no_longer_than_agreed(over: AsyncOver, at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STREAMS__DRAIN_SECONDS", "0.2")
    let_go = slow(at)
    headers = {TAPE_HEADER: "slow"}
    async with over() as client, client.stream("POST", CHAT_PATH, json=STREAM, headers=headers) as answer:
        await anext(answer.aiter_raw())
    let_go.set()
    assert at.entry(answer).ending == "cut off: the client left"


async def test_cancelled_while_it_streams(over: AsyncOver, at: Yard) -> None:
    let_go = slow(at)
    begun = asyncio.Event()

    async def ask(client: Any) -> None:
        async with client.stream("POST", CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "slow"}) as answer:
            async for _ in answer.aiter_raw():
                begun.set()

    async with over() as client:
        asking = asyncio.ensure_future(ask(client))
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    let_go.set()
    (entry,) = at.entries()
    assert (entry.ending, entry.output) == ("cut off: the answer broke off (CancelledError)", 1)
    assert not at.store.run(OpenHolds())


async def test_nobody_waited_for_the_answer(over: AsyncOver, at: Yard) -> None:
    let_go = threading.Event()

    async def silent(seen: Any) -> Answer:
        await asyncio.to_thread(let_go.wait, 20)
        return Answer()

    at.upstream.otherwise = silent
    async with over() as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.post(CHAT_PATH, json={**CHAT, "max_tokens": 64})
    let_go.set()
    (entry,) = at.entries()
    assert (entry.ending, entry.output) == ("cut off: no answer from the provider (CancelledError)", 64)


async def test_left_unread_is_drained_when_it_is_forgotten(over: AsyncOver, at: Yard) -> None:
    async with over() as client:
        answer = await client.send(client.build_request("POST", CHAT_PATH, json=STREAM), stream=True)
        del answer
        gc.collect()
        while not at.store.run(Entries()):
            await asyncio.sleep(0.01)
    (entry,) = at.entries()
    assert entry.ending == "reported"


async def test_left_open_is_drained_when_the_client_closes(over: AsyncOver, at: Yard) -> None:
    async with over() as client:
        answer = await client.send(client.build_request("POST", CHAT_PATH, json=STREAM), stream=True)
    assert at.entry(answer).ending == "reported"


def test_left_open_when_the_loop_ends(at: Yard) -> None:
    """A script that neither reads on nor closes anything: `asyncio.run` ends what still runs."""
    library, transports = LIBRARIES["httpx2"]
    let_go = slow(at)

    async def script() -> Any:
        transport = transports.AsyncTransport(guard=at.async_guard, team="free")
        client = library.AsyncClient(base_url=at.url, transport=transport)
        request = client.build_request("POST", CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "slow"})
        answer = await client.send(request, stream=True)
        await anext(answer.aiter_raw())
        await answer.aclose()
        return answer

    answer = asyncio.run(script())
    let_go.set()
    assert at.entry(answer).ending == "cut off: the client left"


@pytest.mark.parametrize("name", ["broken", SILENCE, "error"])
async def test_the_provider_fails(over: AsyncOver, at: Yard, name: str) -> None:
    at.upstream.tape["broken"] = Answer.stream(*CHUNKS[:2], Break())
    at.upstream.tape["error"] = Answer.json({"error": {}}, 500)
    async with over() as client:
        asked = client.post(CHAT_PATH, json=STREAM, headers={TAPE_HEADER: name})
        if name == "error":
            assert (await asked).status_code == 500
        else:
            with pytest.raises(client.library.RemoteProtocolError):
                await asked
    assert [entry.output for entry in at.entries()] == ([3] if name == "broken" else [])
    assert not at.store.run(OpenHolds())


async def test_a_store_that_takes_its_time_keeps_nobody_waiting(
    over: AsyncOver, at: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, fails = at.store.run, [True, True]

    def shaky(verb: Any) -> Any:
        if isinstance(verb, Settle) and fails:
            fails.pop()
            raise StoreUnavailable("not now")
        return run(verb)

    monkeypatch.setattr(at.store, "run", shaky)
    async with over() as client:
        assert (await client.post(CHAT_PATH, json=CHAT)).status_code == 200
        assert not at.entries(), "the answer is here, its settlement is not"
    assert [entry.ending for entry in at.entries()] == ["reported"], "closing waits for it"
