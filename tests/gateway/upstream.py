"""A provider that does as it is told: it answers what a test put on its tape, and misbehaves on request.

An answer is a script: bytes are sent as one chunk, `Wait` holds the next chunk back until the test says
so, `Pause` takes time, `Break` tears the connection down.  It runs under uvicorn, in a thread of the
test's own process, so that tests see what arrived and let go of what is held back.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn

PATIENCE_SECONDS = 20.0
"""How long anything here waits for something that never comes."""
TAPE_HEADER = "x-replay"
"""The request header that names the answer on the tape."""
JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Wait:
    """Send nothing more until the event is set."""

    event: threading.Event


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for a while, as a provider that thinks does."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Break:
    """Tear the connection down here."""


Step = bytes | Wait | Pause | Break
SILENCE = "silence"
"""An answer on the tape that is none: the connection is closed without a byte."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider says to one request."""

    steps: tuple[Step, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)

    @classmethod
    def json(cls, document: Any, status: int = 200, headers: Mapping[str, str] = JSON) -> Answer:
        """A JSON document in one piece."""
        return cls((json.dumps(document).encode(),), status, {**JSON, **headers})

    @classmethod
    def stream(cls, *steps: Step, headers: Mapping[str, str] = SSE) -> Answer:
        """Server-sent events (or whatever the headers say), a step at a time."""
        return cls(steps, 200, headers)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived at the provider."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.body)


Answering = Callable[[Seen], Awaitable[Answer]]


class Upstream:
    """The provider as an ASGI application."""

    def __init__(self, otherwise: Answering) -> None:
        self.tape: dict[str, Answer] = {}
        """Answers by the request's `x-replay` header."""
        self.otherwise = otherwise
        """Answers requests that name nothing on the tape."""
        self.seen: list[Seen] = []
        self.sent_whole: list[Seen] = []
        """Requests whose answer was sent to its end."""

    def of(self, name: str) -> list[Seen]:
        """The requests that asked for this answer on the tape."""
        return [seen for seen in self.seen if seen.headers.get(TAPE_HEADER) == name]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        seen = await _read(scope, receive)
        self.seen.append(seen)
        name = seen.headers.get(TAPE_HEADER, "")
        if name == SILENCE:
            return send.__self__.transport.abort()
        answer = self.tape[name] if name in self.tape else await self.otherwise(seen)
        headers = [(key.encode(), value.encode()) for key, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        for step in answer.steps:
            await _play(step, send)
        await send({"type": "http.response.body", "body": b""})
        self.sent_whole.append(seen)


async def _play(step: Step, send: Any) -> None:
    match step:
        case Wait(event):
            if not await asyncio.to_thread(event.wait, PATIENCE_SECONDS):
                raise TimeoutError("the test never let the next chunk go")
        case Pause(seconds):
            await asyncio.sleep(seconds)
        case Break():
            # uvicorn closes the connection under an answer that was begun and not ended.
            raise ConnectionAbortedError("as the test asked")
        case chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            # Another turn of the loop, so that two chunks are two writes.
            await asyncio.sleep(0)


async def _read(scope: Any, receive: Any) -> Seen:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {key.decode().lower(): value.decode("latin-1") for key, value in scope["headers"]}
    return Seen(scope["method"], scope["path"], scope["query_string"].decode(), headers, bytes(body))


def cut(body: bytes, seed: object, most: int = 8) -> tuple[bytes, ...]:
    """`body` in up to `most` pieces, cut anywhere: inside events, words and characters."""
    chance = random.Random(str(seed))
    places = sorted(chance.sample(range(1, len(body)), min(chance.randrange(most), max(0, len(body) - 1))))
    return tuple(body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True))


@contextmanager
def serving(app: Any, lifespan: Literal["on", "off"] = "off") -> Iterator[str]:
    """Runs an ASGI application in a thread; gives its base URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan=lifespan, log_config=None, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        until(lambda: server.started, "the upstream to listen")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
        with suppress(OSError):
            listener.close()


def until(done: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `done` answers once that is something; fails naming `what` never came."""
    deadline = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.005)
    return answer
