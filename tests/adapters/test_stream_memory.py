"""What an open stream costs in memory, however much of it has gone by."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from typing import Any

import pytest

from gates import Gate
from weighbridge.adapters.asgi import Weighbridge
from weighbridge.core.model import Reported, Usage

STREAMS = 40
MOST = 64 * 1024
WORDS = 1_500
"""Chunks that have gone by of each: 150 kB."""
USUAL = 10
ASKED = 100
SSE, JSON = b"text/event-stream", b"application/json"
TEXT = "the lorry weighs seven tons and leaves "


def event(document: Any, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(document)}\n\n".encode()


CHAT = event({"id": "c", "choices": [{"index": 0, "delta": {"content": TEXT}}]})
DELTA = {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": TEXT}
BLOCK = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}}
GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "index": 0}]}
SAY: Any = [{"role": "user", "content": "hello"}]
FORMATS: dict[str, tuple[str, dict[str, Any], bytes, bytes, bytes]] = {
    "chat": (
        "/v1/chat/completions", {"model": "m", "messages": SAY, "max_tokens": ASKED, "stream": True}, SSE, b"", CHAT,
    ),
    "responses": (
        "/v1/responses", {"model": "m", "input": "hello", "max_output_tokens": ASKED, "stream": True}, SSE,
        event({"type": "response.created", "response": {"id": "r", "instructions": "x" * 100_000}}), event(DELTA),
    ),
    "anthropic": (
        "/v1/messages", {"model": "m", "messages": SAY, "max_tokens": ASKED, "stream": True}, SSE, b"",
        event(BLOCK, "content_block_delta"),
    ),
    "gemini": (
        "/v1beta/models/m:streamGenerateContent",
        {"contents": [{"parts": [{"text": "hello"}]}], "generationConfig": {"maxOutputTokens": ASKED}},
        JSON, b"[", json.dumps(GEMINI).encode() + b",",
    ),
}  # fmt: skip
"""Format -> (path, body, answer's type, how it begins, a word of it)."""


class Crowd:
    """An app that has told each client so many words and waits."""

    def __init__(self, kind: bytes, begin: bytes, word: bytes) -> None:
        self.kind, self.begin, self.word = kind, begin, word
        self.waiting = 0
        self.everybody = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", self.kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.begin, "more_body": True})
        for _ in range(WORDS):
            # A fresh object each time, as from a socket, and cut elsewhere than the events are.
            await send({"type": "http.response.body", "body": self.word[7:] + self.word[:7], "more_body": True})
        self.waiting += 1
        if self.waiting == STREAMS:
            self.everybody.set()
        await self.go.wait()
        await send({"type": "http.response.body", "body": b""})


def gate_with(terms: dict[str, Any]) -> Gate:
    """A gate whose streams are expected to be short, where the terms go by what is observed."""
    gate = Gate(waits=True)
    gate.policies({"name": "p", "limit": {"output_tokens": 10**9}, "window": "day", **terms})
    if terms:
        for _ in range(20):
            gate.close(gate.open(stream=True, max_tokens=USUAL), Reported(Usage(input=9, output=USUAL)))
    return gate


async def measured(format: str, gate: Gate) -> int:
    """Bytes an open stream holds."""
    path, body, *answer = FORMATS[format]
    crowd = Crowd(*answer)
    middle = Weighbridge(crowd, guard=gate.guard)
    sent = json.dumps(body).encode()

    async def one() -> None:
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if asked:
                await crowd.go.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            return None

        await middle(
            {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b""}, receive, send
        )

    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tasks = [asyncio.ensure_future(one()) for _ in range(STREAMS)]
        await asyncio.wait([asyncio.ensure_future(crowd.everybody.wait()), *tasks], return_when="FIRST_COMPLETED")
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert crowd.everybody.is_set(), "all of them are open"
    crowd.go.set()
    await asyncio.gather(*tasks)
    await middle.backstage.drain()
    return held // STREAMS


@pytest.mark.parametrize("terms", [{}, {"hold": "observed", "on_exhausted": "cut"}], ids=["held", "may be cut"])
@pytest.mark.parametrize("format", FORMATS)
def test_an_open_stream_is_small(format: str, terms: dict[str, Any]) -> None:
    each = asyncio.run(measured(format, gate_with(terms)))
    print(f"{format}: {each} bytes an open stream after {WORDS} chunks")
    assert each < MOST
