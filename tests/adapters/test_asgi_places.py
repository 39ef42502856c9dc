"""The middleware in all places of an app: mounted, under a root path, twice, before apps of every kind.

Wherever a framework finds its route, the middleware has weighed the call, once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from adapters.asgi_gates import BODY, CHAT, ROUTES, USAGE, ask, chat, entries, weighing, who
from gates import Gate
from gateway.upstream import serving
from weighbridge.adapters.asgi import Weighbridge
from weighbridge.core.model import Principal


@pytest.fixture
def gate() -> Gate:
    return weighing()


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


def _nobody(scope: Any) -> Any:
    return None


def _missing(scope: Any) -> Principal:
    return Principal(team=dict(scope["headers"])[b"x-team"].decode())


async def _missing_later(scope: Any) -> Principal:
    return _missing(scope)


def _unreadable(scope: Any) -> Principal:
    return Principal(team=b"\xff".decode())


@pytest.mark.parametrize("identify", [_nobody, _missing, _missing_later, _unreadable])
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


@pytest.mark.parametrize("lifespan", ["on", "auto"])
def test_uvicorn_finds_a_lifespan_where_the_app_has_none(gate: Gate, lifespan: Any) -> None:
    with serving(Weighbridge(_complaining, guard=gate.guard, identify=who), lifespan) as url:
        assert httpx.post(f"{url}{CHAT}", json=BODY).status_code == 200
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


@pytest.mark.parametrize("own", [{}, {"run": "8"}], ids=["of the request", "of the sender, which hold"])
async def test_a_request_has_tags_of_its_own(gate: Gate, own: dict[str, str]) -> None:
    app = Weighbridge(Starlette(routes=ROUTES), guard=gate.guard, identify=lambda scope: Principal(team="t", tags=own))
    assert (await ask(app, headers={"x-weighbridge-tags": "run=7, feature=search"})).status_code == 200
    assert (await ask(app, headers={"x-weighbridge-tags": "run"})).status_code == 400
    await app.backstage.drain()
    (entry,) = entries(gate)
    assert entry.tags == {"run": "7", "feature": "search", **own}


@pytest.mark.filterwarnings("ignore")
async def test_quart_overlooks_a_second_slash(gate: Gate) -> None:
    served = pytest.importorskip("quart").Quart(__name__)

    @served.post(CHAT)
    async def chat() -> dict[str, Any]:
        return {"choices": [], "usage": USAGE}

    app = Weighbridge(served.asgi_app, guard=gate.guard, identify=who)
    assert (await ask(app, "/" + CHAT)).status_code == 200
    await app.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


async def test_litestar_puts_a_slash_behind_what_it_mounts(gate: Gate) -> None:
    litestar = pytest.importorskip("litestar")
    middle = Weighbridge(Starlette(routes=[Route(CHAT + "/", chat, methods=["POST"])]), guard=gate.guard, identify=who)
    # It reads the types of a handler, and an app's own have none.
    mounted = litestar.asgi("/team", is_mount=True, copy_scope=True)(_handler(middle))
    assert (await ask(litestar.Litestar([mounted], openapi_config=None), "/team" + CHAT)).status_code == 200
    await middle.backstage.drain()
    assert [entry.ending for entry in entries(gate)] == ["reported"]


def _handler(app: Any) -> Any:
    async def handler(scope, receive, send):  # type: ignore[no-untyped-def]
        await app(scope, receive, send)

    from litestar.types import Receive, Scope, Send

    handler.__annotations__ = {"scope": Scope, "receive": Receive, "send": Send, "return": None}
    return handler
