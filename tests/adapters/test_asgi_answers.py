"""What an app may answer behind the middleware, and how: each is charged as it came, or not at all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from adapters.asgi_gates import BODY, CHAT, USAGE, ask, entries, weighing, who
from gates import Gate
from weighbridge.adapters.asgi import Weighbridge


@pytest.fixture
def gate() -> Gate:
    return weighing()


async def test_a_redirection_costs_nothing(gate: Gate) -> None:
    async def moved(request: Request) -> Response:
        return RedirectResponse("/elsewhere")

    app = Weighbridge(Starlette(routes=[Route(CHAT, moved, methods=["POST"])]), guard=gate.guard, identify=who)
    assert (await ask(app)).status_code == 307
    await app.backstage.drain()
    assert entries(gate) == ()


async def test_an_answer_of_the_app_s_own_costs_nothing_where_it_says_so(gate: Gate) -> None:
    async def kept(request: Request) -> Response:
        request.scope["weighbridge"].sent = False
        return JSONResponse({"choices": [], "usage": USAGE})

    app = Weighbridge(Starlette(routes=[Route(CHAT, kept, methods=["POST"])]), guard=gate.guard, identify=who)
    assert (await ask(app)).json()["usage"] == USAGE
    await app.backstage.drain()
    assert entries(gate) == ()


@pytest.mark.parametrize("fails", [False, True])
async def test_settled_with_the_answer_whatever_the_app_does_behind_it(gate: Gate, fails: bool) -> None:
    answered, let_go = asyncio.Event(), asyncio.Event()

    async def later() -> None:
        answered.set()
        await let_go.wait()
        if fails:
            raise RuntimeError("the task behind the answer fails")

    async def chat(request: Request) -> Response:
        return JSONResponse({"choices": [], "usage": USAGE}, background=BackgroundTask(later))

    app = Weighbridge(Starlette(routes=[Route(CHAT, chat, methods=["POST"])]), guard=gate.guard, identify=who)
    asking = asyncio.ensure_future(ask(app))
    await answered.wait()
    await app.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]
    let_go.set()
    assert (await asking).status_code == 200
    await app.backstage.drain()
    assert len(entries(gate)) == 1


async def test_no_way_of_sending_goes_around_the_meter(gate: Gate) -> None:
    """Extensions with which a server sends a file by itself are not offered to the app."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert set(scope["extensions"]) == {"http.response.trailers"}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": json.dumps({"usage": USAGE}).encode()})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(BODY).encode(), "more_body": False}

    offered = ("http.response.pathsend", "http.response.zerocopysend", "http.response.trailers")
    scope = {
        "type": "http",
        "method": "POST",
        "path": CHAT,
        "headers": [],
        "extensions": {name: {} for name in offered},
    }
    middle = Weighbridge(app, guard=gate.guard, identify=who)
    await middle(scope, receive, send)
    await middle.backstage.drain()
    assert sent == ["http.response.start", "http.response.body", "http.response.trailers"]
    assert [entry.ending for entry in entries(gate)] == ["reported"]


ACCEPTED = {"br, gzip": "gzip", "br": None, "zstd;q=1": None, "gzip": "gzip"}


@pytest.mark.parametrize(("offered", "left"), ACCEPTED.items(), ids=ACCEPTED)
async def test_the_app_packs_its_answer_only_as_can_be_read(gate: Gate, offered: str, left: str | None) -> None:
    async def chat(request: Request) -> Response:
        assert request.headers.get("accept-encoding") == left
        return JSONResponse({"choices": [], "usage": USAGE})

    app = Weighbridge(Starlette(routes=[Route(CHAT, chat, methods=["POST"])]), guard=gate.guard, identify=who)
    assert (await ask(app, headers={"accept-encoding": offered})).status_code == 200
    await app.backstage.drain()


@pytest.mark.parametrize("stream", [False, True])
async def test_pieces_of_any_kind_of_bytes_are_metered(gate: Gate, stream: bool) -> None:
    """Frameworks send a memoryview as it is."""
    whole = json.dumps({"choices": [], "usage": USAGE}).encode()
    sent = b"data: " + whole + b"\n\ndata: [DONE]\n\n" if stream else whole

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kind = b"text/event-stream" if stream else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for piece in (memoryview(sent)[:9], bytearray(sent[9:])):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    middle = Weighbridge(app, guard=gate.guard, identify=who)
    options = {"stream": stream, "stream_options": {"include_usage": True}} if stream else {}
    answer = await ask(middle, json={**BODY, **options})
    await middle.backstage.drain()
    assert answer.content == sent
    assert [(entry.ending, entry.output) for entry in entries(gate)] == [("reported", 3)]
