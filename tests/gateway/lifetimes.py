"""A gateway whose life ends in the test, as often as it likes, and a provider that bills to the word."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.provider import PROMPT
from gateway.running import START_SECONDS, WEIGHBRIDGE, _free_port, _ready, environment, providers
from gateway.sdks import CHAT_MODEL
from gateway.upstream import serving, until
from ledger.servers import Server, binaries, scratch
from weighbridge.core.ledger import Counters, Entries, Entry, OpenHolds
from weighbridge.ledger.open import open_store

POLICY = {"name": "all", "match": {}, "limit": {"tokens": 1_000_000_000}, "window": "lifetime"}
WORD = {"choices": [{"index": 0, "delta": {"content": "lorry "}, "finish_reason": None}]}


class Teller:
    """Says words: some at once, the rest when it is let; then what it bills."""

    def __init__(self, early: int, late: int) -> None:
        self.early, self.late = early, late
        self.go = False
        self.billed: list[int] = []
        """Output tokens of every answer sent to its end."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})

        async def say(event: Any) -> None:
            text = event if isinstance(event, str) else json.dumps(event)
            await send({"type": "http.response.body", "body": f"data: {text}\n\n".encode(), "more_body": True})

        for _ in range(self.early):
            await say(WORD)
        while not self.go:
            await asyncio.sleep(0.01)
        for _ in range(self.late):
            await say(WORD)
        said = self.early + self.late
        await say({"choices": [], "usage": {"prompt_tokens": PROMPT, "completion_tokens": said, "total_tokens": said}})
        await say("[DONE]")
        await send({"type": "http.response.body", "body": b""})
        self.billed.append(PROMPT + said)


@dataclass
class Call:
    """One client's view of a stream."""

    id: str = ""
    words: int = 0
    whole: bool = False


@dataclass
class Crowd:
    """Clients who all read at once."""

    url: str
    calls: list[Call] = field(default_factory=list)

    def heard(self) -> int:
        return sum(call.words for call in self.calls)

    async def read(self, many: int, meanwhile: Callable[[], Any]) -> Any:
        """`many` streams; `meanwhile` runs in a thread while they are open."""
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits) as client:
            self.calls = [Call() for _ in range(many)]
            reading = [asyncio.ensure_future(_read(client, call)) for call in self.calls]
            done = await asyncio.to_thread(meanwhile)
            await asyncio.gather(*reading)
        return done


async def _read(client: httpx.AsyncClient, call: Call) -> None:
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Weigh."}], "stream": True,
            "max_tokens": 500, "stream_options": {"include_usage": True}}  # fmt: skip
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            call.id = answer.headers.get("x-weighbridge-request-id", "")
            async for line in answer.aiter_lines():
                call.words += "lorry" in line
                call.whole = call.whole or "[DONE]" in line
    except httpx.TransportError:
        call.whole = False


class Service:
    """A gateway to be started, stopped and killed; its store and its directory outlive it."""

    def __init__(self, place: Path, server: Server, provider: str, **settings: Any) -> None:
        self.place, self.server = place, server
        self.log = place / "gateway.log"
        self.spool = place / "data" / "spool"
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._file = place / "weighbridge.yaml"
        (place / "policies.yaml").write_text(yaml.safe_dump({"policies": [POLICY]}))
        written = {"store": server.url, "data_dir": str(place / "data"), "auth": "none", "policies": "policies.yaml",
                   "listen": f"127.0.0.1:{port}", "providers": providers(provider), **settings}  # fmt: skip
        self._file.write_text(yaml.safe_dump(written))
        self._store = open_store(server.url, clock=lambda: 0, directory=place)

    def start(self) -> None:
        with self.log.open("ab") as out:
            command = [*WEIGHBRIDGE, "serve", "--config", str(self._file)]
            self.process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, env=environment(), cwd=self.place
            )
        until(lambda: _ready(self.url, self.process, self.log), "the gateway to be ready", START_SECONDS)

    def workers(self) -> list[int]:
        """The processes that serve."""
        text = subprocess.run(
            ["ps", "-axwwo", "pid=,ppid=,command="], capture_output=True, text=True, check=True
        ).stdout
        rows = [line.split(None, 2) for line in text.splitlines()]
        return [int(row[0]) for row in rows if int(row[1]) == self.process.pid and "spawn_main" in row[2]]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Returns when it is gone."""
        self.process.send_signal(number)
        self.process.wait(30)

    def kill(self, everybody: bool) -> None:
        """As the kernel does when memory runs out: no process can say a last word."""
        for pid in ([self.process.pid] if everybody else []) + self.workers():
            os.kill(pid, signal.SIGKILL)
        if everybody:
            self.process.wait()

    def entries(self) -> list[Entry]:
        return list(self._store.run(Entries()))

    def held(self) -> int:
        return len(self._store.run(OpenHolds()))

    def spent(self) -> int:
        return sum(state.spent for _, state in self._store.run(Counters("all")))

    def close(self) -> None:
        self._store.close()
        if self.process.poll() is None:
            self.kill(everybody=True)


@contextmanager
def service(teller: Teller, **settings: Any) -> Iterator[Service]:
    """One with a Redis and a provider of its own; started."""
    with ExitStack() as stack:
        place = stack.enter_context(scratch())
        server = Server(next(iter(binaries().values())), place)
        stack.callback(server.stop)
        made = Service(place, server, stack.enter_context(serving(teller)), **settings)
        made.start()
        stack.callback(made.close)
        yield made
