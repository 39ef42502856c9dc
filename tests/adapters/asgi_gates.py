"""A middleware in this process, over a ledger of its own: what its tests ask, and what came of it."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gates import Gate
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


def weighing() -> Gate:
    """A gate with a budget for every team."""
    made = Gate(waits=True)
    made.policies({"name": "p", "match": {"team": "*"}, "limit": {"usd": 1}, "window": "lifetime"})
    return made


def entries(gate: Gate) -> tuple[Entry, ...]:
    """The journal, with nothing held any more."""
    assert gate.store.run(OpenHolds()) == ()
    return gate.store.run(Entries())


async def ask(app: Any, path: str = CHAT, method: str = "POST", root: str = "", **more: Any) -> httpx.Response:
    """One request, as a server would hand it over."""
    transport = httpx.ASGITransport(app, root_path=root, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport) as client:
        return await client.request(method, f"http://here{path}", **({"json": BODY} | more))


ROUTES = [Route(CHAT, chat, methods=["POST"])]
