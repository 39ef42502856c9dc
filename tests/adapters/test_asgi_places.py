"""The middleware in all places of an app: mounted, under a root path, twice, before apps of every kind.

Wherever a framework finds its route, the middleware has weighed the call, once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from gates import Gate
from weighbridge.adapters.asgi import Weighbridge
from weighbridge.core.ledger import Entries, Entry, OpenHolds
from weighbridge.core.model import Principal

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}
BODY = {"model": "m", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}


async def chat(request: Request) -> Response:
    assert (await request.json())["model"] == "m"
    return JSONResponse({"choices": [], "usage": USAGE})


def who(scope: Any) -> Principal:
    return Principal(team="research")


@pytest.fixture
def gate() -> Gate:
    made = Gate(waits=True)
    made.policies({"name": "p", "match": {"team": "*"}, "limit": {"usd": 1}, "window": "lifetime"})
    return made


def entries(gate: Gate) -> tuple[Entry, ...]:
    assert gate.store.run(OpenHolds()) == ()
    return gate.store.run(Entries())


async def ask(app: Any, path: str = CHAT, method: str = "POST", root: str = "", **more: Any) -> httpx.Response:
    """One request, as a server would hand it over."""
    transport = httpx.ASGITransport(app, root_path=root, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, f"http://here{path}", **({"json": BODY} | more))


ROUTES = [Route(CHAT, chat, methods=["POST"])]


async def test_around_an_app_that_is_mounted(gate: Gate) -> None:
    inner = Weighbridge(Starlette(routes=ROUTES), guard=gate.guard, identify=who)
    assert (await ask(Starlette(routes=[Mount("/team/a", inner)]), "/team/a" + CHAT)).status_code == 200
    await inner.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


async def test_under_a_server_s_root_path(gate: Gate) -> None:
    app = Weighbridge(Starlette(routes=ROUTES), guard=gate.guard, identify=who)
    assert (await ask(app, "/proxy" + CHAT, root="/proxy")).status_code == 200
    await app.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


SPELT = {
    "a slash at the end": CHAT + "/",
    "slashes at the start": "/" + CHAT,
    "slashes within": "/v1//chat/completions",
}


@pytest.mark.parametrize("path", SPELT.values(), ids=SPELT)
async def test_apps_that_are_lenient_with_slashes_get_nothing_unweighed(gate: Gate, path: str) -> None:
    """Litestar routes a path with a slash behind it as one without."""

    async def lenient(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"choices": [], "usage": USAGE})(scope, receive, send)

    app = Weighbridge(lenient, guard=gate.guard, identify=who)
    assert (await ask(app, path)).status_code == 200
    await app.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


async def test_a_method_is_the_same_in_small_letters(gate: Gate) -> None:
    """Django and Quart write it in capitals."""

    async def lenient(scope: Any, receive: Any, send: Any) -> None:
        assert scope["method"] == "post"
        await JSONResponse({"choices": [], "usage": USAGE})(scope, receive, send)

    async def server(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "method": "post"}, receive, send)

    app = Weighbridge(lenient, guard=gate.guard, identify=who)
    assert (await ask(server)).status_code == 200
    await app.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "GET"])
async def test_what_asks_for_no_answer_of_a_model_passes(gate: Gate, method: str) -> None:
    app = Weighbridge(Starlette(routes=ROUTES), guard=gate.guard, identify=who)
    answer = await ask(app, method=method)
    assert answer.status_code == 405 and "x-weighbridge-decision" not in answer.headers


async def test_stacked_it_weighs_once(gate: Gate) -> None:
    outer = Weighbridge(
        Weighbridge(Starlette(routes=ROUTES), guard=gate.guard, identify=who), guard=gate.guard, identify=who
    )
    answer = await ask(outer)
    assert answer.headers.get_list("x-weighbridge-decision") == ["admit"]
    await outer.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


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


def _nobody(scope: Any) -> Any:
    return None


def _missing(scope: Any) -> Principal:
    return Principal(team=dict(scope["headers"])[b"x-team"].decode())


async def _missing_later(scope: Any) -> Principal:
    return _missing(scope)


@pytest.mark.parametrize("identify", [_nobody, _missing, _missing_later])
async def test_a_call_of_nobody_is_refused_in_its_own_words(gate: Gate, identify: Any) -> None:
    app = Weighbridge(Starlette(routes=ROUTES), guard=gate.guard, identify=identify)
    answer = await ask(app)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    assert entries(gate) == ()


class Server:
    """The lifespan as a server drives it."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def life(self, app: Any) -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, self.inbox.get, self.sent.put)

    async def tell(self, word: str) -> str:
        await self.inbox.put({"type": f"lifespan.{word}"})
        return (await self.sent.get())["type"]


async def _silent(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await JSONResponse({"choices": [], "usage": USAGE})(scope, receive, send)


async def _complaining(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http", "Django can only handle ASGI/HTTP connections, not lifespan."
    await _silent(scope, receive, send)


@pytest.mark.parametrize("inner", [_silent, _complaining])
async def test_an_app_without_a_lifespan_is_settled_at_the_server_s_shutdown(gate: Gate, inner: Any) -> None:
    app, server = Weighbridge(inner, guard=gate.guard, identify=who), Server()
    life = asyncio.ensure_future(server.life(app))
    assert await server.tell("startup") == "lifespan.startup.complete"
    assert (await ask(app)).status_code == 200
    assert await server.tell("shutdown") == "lifespan.shutdown.complete"
    await life
    assert [entry.ending for entry in entries(gate)] == ["reported"]


async def test_a_startup_that_fails_is_the_app_s_own(gate: Gate) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise OSError("no database")

    server = Server()
    life = asyncio.ensure_future(server.life(Weighbridge(failing, guard=gate.guard)))
    await server.inbox.put({"type": "lifespan.startup"})
    with pytest.raises(OSError, match="no database"):
        await life


async def test_litestar_with_a_slash_at_the_end(gate: Gate) -> None:
    litestar = pytest.importorskip("litestar")

    @litestar.post(CHAT, status_code=200, sync_to_thread=False)
    def chat(data: dict[str, Any]) -> dict[str, Any]:
        return {"choices": [], "usage": USAGE}

    app = Weighbridge(litestar.Litestar([chat], openapi_config=None), guard=gate.guard, identify=who)
    assert (await ask(app, CHAT + "/")).status_code == 200
    await app.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


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
