"""The middleware in somebody else's app: what passes, what is refused, what is settled."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from weighbridge.adapters.asgi import Weighbridge
from weighbridge.adapters.backstage import Backstage
from weighbridge.core.errors import Refused
from weighbridge.core.ledger import Counters, Entries, Entry, OpenHolds
from weighbridge.core.model import Principal
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
POLICY = {"name": "asgi", "match": {"team": "*"}, "limit": {"usd": 1}, "window": "month", "per": ["team"]}


async def chat(request: Request) -> Response:
    asked = await request.json()
    if asked.get("stream"):
        return StreamingResponse(_events(asked), media_type="text/event-stream")
    if asked.get("user") == "break":
        raise RuntimeError("the app fails before its answer")
    passage = request.scope["weighbridge"]
    return JSONResponse({"choices": [], "usage": USAGE, "echo": asked, "decision": passage.ticket.decision})


async def _events(asked: dict[str, Any]) -> AsyncIterator[bytes]:
    yield b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    if asked.get("stream_options", {}).get("include_usage"):
        yield b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


async def other(request: Request) -> Response:
    return PlainTextResponse("not weighed")


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


def who(scope: Any) -> Principal:
    team = dict(scope["headers"]).get(b"x-team")
    if team is None:
        raise Refused("unknown_key", "Say which team you are.")
    return Principal(team=team.decode())


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.started = True
    yield


ROUTES = [
    Route("/v1/chat/completions", chat, methods=["POST"]),
    Route("/hello", other),
    WebSocketRoute("/talk", talk),
]


@pytest.fixture
def client(url: str, store: Store) -> TestClient:
    policies, defaults = parse.policies({"policies": [POLICY]})
    store.run(Put("policies", shelf.write(policies, defaults)))
    app = Starlette(routes=ROUTES, lifespan=_lifespan)
    app.add_middleware(Weighbridge, store=url, identify=who)
    return TestClient(app, raise_server_exceptions=False)


def settled(store: Store, answer: httpx.Response) -> Entry:
    """The journal's entry; call it after the client's shutdown, which waits for settlements."""
    id = answer.headers["x-weighbridge-request-id"]
    return next(entry for entry in store.run(Entries(most=100_000)) if entry.id == id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_call_is_weighed_passed_on_and_settled(client: TestClient, store: Store, stream: bool) -> None:
    with client:
        answer = client.post("/v1/chat/completions", json={**BODY, "stream": stream}, headers={"x-team": f"t{stream}"})
        assert answer.status_code == 200
        assert answer.headers["x-weighbridge-decision"] == "admit"
        if stream:
            assert '"usage"' not in answer.text and answer.text.endswith("data: [DONE]\n\n")
        else:
            assert answer.json()["echo"] == {**BODY, "stream": False}
    entry = settled(store, answer)
    assert (entry.ending, entry.team, entry.input, entry.output) == ("reported", f"t{stream}", 9, 3)
    assert store.run(OpenHolds()) == ()


def test_a_refusal_never_reaches_the_app(client: TestClient) -> None:
    with client:
        answer = client.post("/v1/chat/completions", json=BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        answer = client.post("/v1/chat/completions", json={**BODY, "model": 7}, headers={"x-team": "x"})
        assert answer.status_code == 400


def test_an_app_that_fails_leaves_nothing_held(client: TestClient, store: Store) -> None:
    with client:
        answer = client.post("/v1/chat/completions", json={**BODY, "user": "break"}, headers={"x-team": "failing"})
        assert answer.status_code == 500
    assert store.run(OpenHolds()) == ()
    assert all(state.held == 0 for _, state in store.run(Counters("asgi")))


def test_everything_else_passes_as_if_it_were_not_there(client: TestClient) -> None:
    with client:
        answer = client.get("/hello")
        ours = [name for name in answer.headers if name.startswith("x-weighbridge")]
        assert (answer.text, ours) == ("not weighed", [])
        with client.websocket_connect("/talk") as socket:
            assert socket.receive_text() == "hello"


def test_it_composes_with_gzip_outside(url: str, store: Store) -> None:
    policies, defaults = parse.policies({"policies": [POLICY]})
    store.run(Put("policies", shelf.write(policies, defaults)))
    inside = Middleware(Weighbridge, store=url, identify=who)
    app = Starlette(routes=ROUTES, middleware=[Middleware(GZipMiddleware, minimum_size=1), inside])
    with TestClient(app) as client:
        answer = client.post("/v1/chat/completions", json=BODY, headers={"x-team": "packed"})
        assert answer.headers["content-encoding"] == "gzip" and answer.json()["usage"] == USAGE
    assert settled(store, answer).input == 9


def test_a_guard_and_the_means_to_build_one_are_one_too_many(url: str) -> None:
    with pytest.raises(TypeError, match="not both"):
        Weighbridge(Starlette(), guard=object(), store=url)  # type: ignore[arg-type]


async def test_draining_ends_where_a_settlement_is_done_and_not_yet_crossed_off() -> None:
    backstage = Backstage()

    async def settled() -> None:
        return None

    backstage._spawn(settled())
    (task,) = backstage._tasks
    task.add_done_callback(backstage._tasks.add)  # as if crossing off came late
    await task
    backstage._tasks.add(task)
    await backstage.drain()
    assert not backstage._tasks
