"""However an answer over a transport ends, the ledger knows what it cost, and nothing stays held."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from adapters.crossings import CHAT, CHAT_PATH, CHUNKS, FRAME, LIBRARIES, STREAM, USAGE_CHUNK, Over, Yard, yard
from gateway.provider import ANSWER
from gateway.upstream import SILENCE, TAPE_HEADER, Answer, Break, Pause, Seen, Wait, until
from weighbridge.adapters.client.threads import Gate
from weighbridge.core.ledger import OpenHolds
from weighbridge.desk import Scale


@pytest.mark.parametrize("status", [307, 400, 429, 500, 529])
def test_an_error_of_the_provider_costs_nothing(over: Over, at: Yard, status: int) -> None:
    error = {"error": {"message": "the provider says no"}}
    at.upstream.tape["error"] = Answer.json(error, status, {"retry-after": "7", "x-provider": "yes"})
    with over() as client:
        answer = client.post(CHAT_PATH, json=CHAT, headers={TAPE_HEADER: "error"})
    assert (answer.status_code, answer.json()) == (status, error)
    assert (answer.headers["retry-after"], answer.headers["x-provider"]) == ("7", "yes")
    assert answer.headers["x-weighbridge-decision"] == "admit"
    assert not at.entries() and not at.store.run(OpenHolds())


def test_a_connection_without_an_answer_costs_nothing(over: Over, at: Yard) -> None:
    with over() as client:
        with pytest.raises(client.library.RemoteProtocolError):
            client.post(CHAT_PATH, json=CHAT, headers={TAPE_HEADER: SILENCE})
        with pytest.raises(client.library.ConnectError):
            client.post("http://127.0.0.1:1/v1/chat/completions", json=CHAT)
    assert not at.entries() and not at.store.run(OpenHolds())


@pytest.mark.parametrize("begun", [False, True])
def test_a_silence_may_have_been_billed(over: Over, at: Yard, begun: bool) -> None:
    let_go = threading.Event()

    async def silent(seen: Seen) -> Answer:
        await asyncio.to_thread(let_go.wait, 20)
        return Answer()

    at.upstream.otherwise = silent
    at.upstream.tape["begun"] = Answer((b'{"choices": [', Wait(let_go)))
    with over() as client, pytest.raises(client.library.ReadTimeout):
        headers = {TAPE_HEADER: "begun" if begun else ""}
        client.post(CHAT_PATH, json={**CHAT, "max_tokens": 64}, headers=headers, timeout=0.3)
    let_go.set()
    (entry,) = at.entries()
    assert entry.ending.startswith("cut off: ") and "(ReadTimeout)" in entry.ending
    assert entry.output == 64, "an answer that was to come whole may have been generated to its end"


def test_a_stream_that_breaks_off_costs_what_was_seen(over: Over, at: Yard) -> None:
    at.upstream.tape["broken"] = Answer.stream(*CHUNKS[:2], Break())
    got = bytearray()
    with over() as client, pytest.raises(client.library.RemoteProtocolError):  # noqa: SIM117
        with client.stream("POST", CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "broken"}) as answer:
            for piece in answer.iter_raw():
                got += piece
    assert got == b"".join(CHUNKS[:2])
    entry = at.entry(answer)
    assert (entry.ending, entry.output) == ("cut off: the answer broke off (RemoteProtocolError)", 3 + FRAME)
    assert not at.store.run(OpenHolds())


def test_left_early_and_counted(over: Over, at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STREAMS__ON_DISCONNECT", "count")
    let_go = threading.Event()
    at.upstream.tape["slow"] = Answer.stream(CHUNKS[0], Wait(let_go), *CHUNKS[1:], *USAGE_CHUNK)
    with over() as client, client.stream("POST", CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "slow"}) as answer:
        next(answer.iter_raw())
    let_go.set()
    assert (at.entry(answer).ending, at.entry(answer).output) == ("cut off: the client left", 1 + FRAME)


def test_left_early_and_drained_no_longer_than_agreed(over: Over, at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STREAMS__DRAIN_SECONDS", "0.2")
    let_go = threading.Event()
    at.upstream.tape["slow"] = Answer.stream(*CHUNKS[:2], Wait(let_go), *CHUNKS[2:], *USAGE_CHUNK)
    with over() as client:
        with client.stream("POST", CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "slow"}) as answer:
            next(answer.iter_raw())
        entry = at.entry(answer)
    let_go.set()
    assert entry.ending == "cut off: the client left" and FRAME < entry.output < ANSWER + FRAME


def test_left_unread_is_drained_when_it_is_forgotten(over: Over, at: Yard) -> None:
    with over() as client:
        answer = client.send(client.build_request("POST", CHAT_PATH, json=STREAM), stream=True)
        headers = answer.headers
        # The client keeps nothing of it: only this name does.
        del answer
        gc.collect()
        until(lambda: at.entries(), "the charge")
    (entry,) = at.entries()
    assert (entry.id, entry.ending) == (headers["x-weighbridge-request-id"], "reported")


def test_left_open_is_drained_when_the_client_closes(over: Over, at: Yard) -> None:
    with over() as client:
        answer = client.send(client.build_request("POST", CHAT_PATH, json=STREAM), stream=True)
    assert at.entry(answer).ending == "reported"


def test_one_call_at_a_time_is_enough_for_one_after_the_other(over: Over, at: Yard) -> None:
    """What ends is settled before the next call is weighed."""
    with over("single") as client:
        assert [client.post(CHAT_PATH, json=STREAM).status_code for _ in range(5)] == [200] * 5
    at.balanced()


def test_a_long_call_keeps_its_lease(scale: Scale, unset: None) -> None:
    library, transports = LIBRARIES["httpx"]
    with yard(scale, lease_ms=60) as at:
        at.upstream.tape["long"] = Answer.stream(CHUNKS[0], Pause(0.3), *CHUNKS[1:], *USAGE_CHUNK)
        with library.Client(base_url=at.url, transport=transports.Transport(guard=at.guard, team="free")) as client:
            client.post(CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "long"})
        (closed,) = [event for event in at.events if type(event).__name__ == "Closed"]
    assert closed.outcome == "settled", "a lease that was not renewed would make it late"  # type: ignore[union-attr]


LASTS = {
    "openai": (CHAT_PATH, STREAM),
    "responses": ("/v1/responses", {"model": "gpt-4o-mini", "stream": True, "input": "hello"}),
    "anthropic": ("/v1/messages", {**STREAM, "model": "claude-haiku-4-5", "max_tokens": 64}),
}


@pytest.mark.parametrize(("path", "body"), LASTS.values(), ids=LASTS)
def test_settled_with_the_last_event_whether_or_not_anybody_reads_on(
    over: Over, at: Yard, path: str, body: dict[str, Any]
) -> None:
    with over() as client, client.stream("POST", path, json=body) as answer:
        for piece in answer.iter_raw():
            if b"[DONE]" in piece or b"message_stop" in piece or b"response.completed" in piece:
                break
        assert at.entry(answer).ending == "reported"
    at.balanced()


def test_what_is_forgotten_while_the_client_closes_is_settled_before_it_is_closed(
    over: Over, at: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside, taken, never = Gate.aside, threading.Event(), threading.Event()

    def slow(gate: Any, work: Any, patience: float) -> None:
        if threading.current_thread().name == "weighbridge-left":
            taken.set()
            never.wait(0.3)
        aside(gate, work, patience)

    monkeypatch.setattr(Gate, "aside", slow)
    with over() as client:
        answer = client.send(client.build_request("POST", CHAT_PATH, json=STREAM), stream=True)
        del answer
        gc.collect()
        assert taken.wait(20)
    assert not at.store.run(OpenHolds()), "closing waits for it, whoever took leave of it"
    at.balanced()
