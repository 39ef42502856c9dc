"""The gateway's own pages: is it alive, is it ready, what would become of this request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from weighbridge.adapters.asgi import Scope
from weighbridge.adapters.intake import read_body
from weighbridge.core import reply
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.body import decode
from weighbridge.core.dialects.guess import guess
from weighbridge.core.errors import Refused, StoreError
from weighbridge.core.model import Principal, RawCall
from weighbridge.core.shelves import Version
from weighbridge.guard import AsyncGuard

log = logging.getLogger("weighbridge")
Identify = Callable[[Scope], Awaitable[Principal]]


def house(guard: AsyncGuard, identify: Identify, max_body: int) -> Starlette:
    """The pages as an ASGI app."""

    async def live(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        try:
            await guard.store.run(Version("policies"))
        except StoreError as error:
            log.error("not ready: %s", error)
            return JSONResponse({"status": "store down"}, status_code=503)
        return JSONResponse({"status": "ok"})

    async def check(request: Request) -> Response:
        try:
            principal = await identify(request.scope)
            body = (await read_body(request.scope, request.receive, max_body)).plain
            raw = RawCall(_dialect(request, body), body, principal, model=request.query_params.get("model"))
        except Refused as error:
            return JSONResponse(reply.verdict_refused(error, None), error.status)
        try:
            return JSONResponse(reply.verdict_admitted(await guard.check(raw)))
        except Refused as error:
            return JSONResponse(reply.verdict_refused(error, None))

    return Starlette(
        routes=[
            Route("/health/live", live),
            Route("/health/ready", ready),
            Route("/weighbridge/check", check, methods=["POST"]),
        ]
    )


def _dialect(request: Request, body: bytes) -> str:
    name = request.query_params.get("dialect") or guess(decode(body))
    if name is None or name not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise Refused("malformed", f"The body's dialect is not clear. Add ?dialect= with one of: {known}.")
    return name
