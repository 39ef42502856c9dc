"""WebSockets at the middleware: other apps' pass, realtime sessions are refused, passed or metered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from gates import Gate
from gateway.upstream import PATIENCE_SECONDS
from weighbridge.adapters.asgi import Weighbridge
from weighbridge.core.errors import Refused
from weighbridge.core.ledger import Entries, Entry, OpenHolds, Renew
from weighbridge.core.model import Principal
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store

PATH = "/v1/realtime?model=gpt-realtime"
GEMINI = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
DONE = {
    "type": "response.done",
    "response": {
        "usage": {
            "total_tokens": 30, "input_tokens": 20, "output_tokens": 10,
            "input_token_details": {"cached_tokens": 4, "audio_tokens": 5}, "output_token_details": {"audio_tokens": 3},
        }
    },
}  # fmt: skip
Client = Callable[..., TestClient]


async def talk(socket: WebSocket) -> None:
    """A realtime API: says what it is asked to say."""
    await socket.accept()
    try:
        while True:
            for event in await socket.receive_json():
                await socket.send_text(json.dumps(event))
    except WebSocketDisconnect:
        return


def who(scope: Any) -> Principal:
    team = dict(scope["headers"]).get(b"x-team")
    if team is None:
        raise Refused("unknown_key", "Say which team you are.")
    return Principal(team=team.decode())


@pytest.fixture
def client(url: str, store: Store) -> Client:
    def of(realtime: Any, requests: int = 100) -> TestClient:
        policy = {"name": "talks", "match": {"team": "*"}, "limit": {"requests": requests}, "window": "month"}
        store.run(Put("policies", shelf.write(*parse.policies({"policies": [policy]}))))
        app = Starlette(routes=[WebSocketRoute(path, talk) for path in ("/v1/realtime", GEMINI, "/chat")])
        app.add_middleware(Weighbridge, store=url, identify=who, realtime=realtime)
        return TestClient(app)

    return of


def entries(store: Store, team: str) -> list[Entry]:
    assert store.run(OpenHolds()) == ()
    return [entry for entry in store.run(Entries(most=100_000)) if entry.team == team]


def test_answers_are_charged_one_by_one(client: Client, store: Store) -> None:
    events = [{"type": "response.created"}, {"type": "response.output_audio.delta", "delta": "AAAA"}, DONE]
    with client("meter") as http, http.websocket_connect(PATH, headers={"x-team": "talkers"}) as socket:
        for _ in range(2):
            socket.send_json(events)
            assert [socket.receive_json() for _ in events] == events
    found = entries(store, "talkers")
    assert [(e.ending, e.model, e.input, e.output, e.cached) for e in found] == [
        ("reported", "gpt-realtime", 20, 10, 4)
    ] * 2
    assert all(entry.nano_usd > 0 for entry in found)


def test_an_answer_that_is_left_is_charged_by_what_was_seen(client: Client, store: Store) -> None:
    with client("meter") as http, http.websocket_connect(PATH, headers={"x-team": "leavers"}) as socket:
        socket.send_json([{"type": "response.created"}, {"type": "response.output_text.delta", "delta": "hello"}])
        assert [socket.receive_json()["type"] for _ in range(2)] == ["response.created", "response.output_text.delta"]
    (entry,) = entries(store, "leavers")
    assert entry.ending.startswith("cut off: the session ended in an answer") and entry.output > 0


def test_a_session_ends_where_the_next_answer_has_no_budget(client: Client, store: Store) -> None:
    with client("meter", requests=1) as http, http.websocket_connect(PATH, headers={"x-team": "poor"}) as socket:
        socket.send_json([DONE, {"type": "more"}])
        assert socket.receive_json() == DONE
        with pytest.raises(WebSocketDisconnect) as end:
            socket.receive_json()
        assert end.value.code == 1008 and "talks" in end.value.reason
    assert [entry.ending for entry in entries(store, "poor")] == ["reported"]


async def test_a_silence_longer_than_a_lease_does_not_lose_the_hold() -> None:
    gate, renewed = Gate(waits=True, lease_ms=30), asyncio.Event()
    gate.policies({"name": "talks", "limit": {"usd": 1}, "window": "lifetime"})

    def watched(verb: Any) -> bool:
        if isinstance(verb, Renew):
            renewed.set()
        return False

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await renewed.wait()

    gate.store.down = watched
    middle = Weighbridge(silent, guard=gate.guard, realtime="meter")
    await middle(
        {"type": "websocket", "path": "/v1/realtime", "query_string": b"model=m", "headers": []}, *(silent, silent)
    )
    await middle.backstage.drain()
    assert renewed.is_set() and not gate.store.run(OpenHolds()) and not gate.guard.keeper._open


async def test_a_session_of_an_app_that_is_mounted_is_weighed_once() -> None:
    gate = Gate(waits=True)
    gate.policies({"name": "talks", "limit": {"usd": 1}, "window": "lifetime"})
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.send", "text": json.dumps(DONE)})

    async def send(message: Any) -> None:
        sent.append(message)

    inner = Weighbridge(app, guard=gate.guard, realtime="meter")
    middle = Weighbridge(inner, guard=gate.guard, realtime="meter")
    scope = {"type": "websocket", "path": "/team" + PATH.partition("?")[0], "root_path": "/team", "headers": []}
    await middle({**scope, "query_string": b"model=m"}, send, send)
    await middle.backstage.drain()
    assert [message["type"] for message in sent] == ["websocket.send"]
    assert [entry.ending for entry in gate.store.run(Entries())] == ["reported"]


OTHERS: dict[str, Any] = {
    "asked of another": {"type": "response.create", "model": "gpt-realtime-dear"},
    "an answer of another": {"type": "response.create", "response": {"model": "gpt-realtime-dear"}},
    "two at once": '{"type": "response.create", "model": "gpt-realtime-dear", "model": "m"}',
    "one in capitals": '{"type": "response.create", "Model": "gpt-realtime-dear", "model": "m"}',
    "a session of another": {"type": "session.update", "session": {"model": "gpt-realtime-dear"}},
}


@pytest.mark.parametrize("event", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("packed", [False, True])
async def test_a_session_is_of_the_model_it_is_weighed_for(event: Any, packed: bool) -> None:
    """Responses over WebSocket name a model with each answer: the cheap one of the address must not pay for it."""
    gate = Gate(waits=True)
    gate.policies({"name": "talks", "limit": {"usd": 1}, "window": "lifetime"})
    sent: list[Any] = []
    said = [{"type": "response.create", "model": "m"}, event]

    async def receive() -> Any:
        event = said.pop(0)
        text = event if isinstance(event, str) else json.dumps(event).replace("model", "mod\\u0065l")
        return {"type": "websocket.receive", **({"bytes": text.encode()} if packed else {"text": text})}

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.receive"
        assert (await receive())["type"] == "websocket.disconnect"

    middle = Weighbridge(app, guard=gate.guard, realtime="meter")
    scope = {"type": "websocket", "path": "/v1/responses", "query_string": b"model=m", "headers": []}
    await middle(scope, receive, send)
    await middle.backstage.drain()
    assert [(m["type"], m["code"]) for m in sent] == [("websocket.close", 1008)] and "model" in sent[0]["reason"]
    assert not gate.store.run(OpenHolds())


REFUSED = {
    "as set": ("refuse", PATH, {"x-team": "a"}),
    "gemini, which has no meter": ("meter", GEMINI, {"x-team": "a"}),
    "no model": ("meter", "/v1/realtime", {"x-team": "a"}),
    "nobody": ("meter", PATH, {}),
}


@pytest.mark.parametrize(("setting", "path", "headers"), REFUSED.values(), ids=REFUSED)
def test_sessions_are_refused_before_they_begin(
    client: Client, store: Store, setting: str, path: str, headers: dict[str, str]
) -> None:
    with client(setting) as http, pytest.raises(WebSocketDisconnect) as end:
        http.websocket_connect(path, headers=headers).__enter__()
    assert end.value.code == 1008
    assert store.run(OpenHolds()) == ()


@pytest.mark.parametrize(("setting", "path"), [("pass", PATH), ("refuse", "/chat"), ("meter", "/chat")])
def test_what_is_not_asked_to_be_metered_passes(client: Client, store: Store, setting: str, path: str) -> None:
    with client(setting) as http, http.websocket_connect(path) as socket:
        socket.send_json([DONE, {"text": "not JSON's fault"}])
        assert socket.receive_json() == DONE


def test_a_setting_or_a_format_that_is_none() -> None:
    with pytest.raises(ValueError, match="realtime must be refuse, meter or pass"):
        Weighbridge(Starlette(), realtime="maybe")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'openai' is no wire format"):
        Weighbridge(Starlette(), routes={"/ask": "openai"})
