"""The middleware over an app that streams: held for as it grows, cut where policy says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gates import Gate
from weighbridge.adapters.asgi import Weighbridge
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Entries, Entry, Extend, OpenHolds, Verb
from weighbridge.core.model import Principal, Reported, Usage

WORD = b'data: {"choices":[{"index":0,"delta":{"content":"abc"}}]}\n\n'
"""A token, by the evidence and by the bill."""
END = b"data: [DONE]\n\n"
ASKED = 100
USUAL = 10


def usage(output: int) -> bytes:
    return (
        b"data: "
        + json.dumps({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": output}}).encode()
        + b"\n\n"
    )


async def chat(request: Request) -> Response:
    async def events() -> AsyncIterator[bytes]:
        for _ in range(ASKED):
            yield WORD
            await asyncio.sleep(0)
        yield usage(ASKED)
        yield END

    return StreamingResponse(events(), media_type="text/event-stream")


class Heard:
    """What a client of the middleware hears."""

    def __init__(self) -> None:
        self.body = b""
        self.ended = False
        self.headers: Mapping[bytes, bytes] = {}

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.headers = dict(message["headers"])
        else:
            self.body += message.get("body", b"")
            self.ended = not message.get("more_body", False)


async def ask(gate: Gate) -> tuple[Heard, Entry]:
    """One stream through the middleware, settled."""
    middle = Weighbridge(
        Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])]), guard=gate.guard, identify=who
    )
    messages = [{"role": "user", "content": "hello"}]
    options = {"include_usage": True}
    body = {"model": "m", "messages": messages, "max_tokens": ASKED, "stream": True, "stream_options": options}
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": [], "query_string": b"",
        "asgi": {"spec_version": "2.4"},
    }  # fmt: skip
    heard, left = Heard(), asyncio.Event()
    sent = False

    async def receive() -> Any:
        nonlocal sent
        if sent:
            await left.wait()
        sent = True
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    await middle(scope, receive, heard)
    await middle.backstage.drain()
    return heard, gate.store.run(Entries())[-1]


def who(scope: Any) -> Principal:
    return Principal(team="research")


def gate(room: int, on_exhausted: str) -> Gate:
    """A gate whose streams are expected to return `USUAL` tokens, with `room` for so many more."""
    made = Gate(waits=True)
    terms = {"window": "day", "hold": "observed", "on_exhausted": on_exhausted}
    made.policies({"name": "p", "limit": {"output_tokens": 20 * USUAL + room}, **terms})
    for _ in range(20):
        made.close(made.open(stream=True, max_tokens=USUAL), Reported(Usage(input=9, output=USUAL)))
    return made


def test_a_stream_with_room_passes_whole() -> None:
    heard, entry = asyncio.run(ask(gate(1000, "cut")))
    assert heard.ended and heard.body == WORD * ASKED + usage(ASKED) + END
    assert (entry.ending, entry.output, entry.overrun_nano_usd) == ("reported", ASKED, 0)


def test_a_stream_that_outgrows_the_budget_is_cut_within_it() -> None:
    made = gate(40, "cut")
    heard, entry = asyncio.run(ask(made))
    words = heard.body.count(b"abc")
    assert heard.body.startswith(WORD * words) and USUAL < words <= 40
    length, counts, done, rest = heard.body.removeprefix(WORD * words).split(b"\n\n")
    assert heard.ended and b'"finish_reason": "length"' in length and (done, rest) == (b"data: [DONE]", b"")
    assert b'"completion_tokens": %d' % words in counts
    assert entry.ending == "cut off: the budget ran out while it was answered"
    assert entry.output == words
    assert made.counters() == [("p", 20 * USUAL + words, 0)]
    assert made.store.run(OpenHolds()) == ()


def test_or_finishes_and_is_charged_for_all_of_it() -> None:
    made = gate(40, "finish")
    heard, entry = asyncio.run(ask(made))
    assert heard.ended and heard.body.endswith(END)
    assert (entry.ending, entry.output) == ("reported", ASKED)
    assert made.counters() == [("p", 20 * USUAL + ASKED, 0)]


def test_a_store_that_is_silent_meanwhile_stops_nobody() -> None:
    made = gate(1000, "cut")
    made.store.down = lambda verb: isinstance(verb, Extend)
    heard, entry = asyncio.run(ask(made))
    assert heard.ended and entry.output == ASKED


def test_no_chunk_waits_for_an_extension() -> None:
    made = gate(1000, "cut")
    run, asked = made.guard.store.run, asyncio.Event()

    async def never(verb: Verb[Any]) -> Any:
        if not isinstance(verb, Extend):
            return await run(verb)
        asked.set()
        await asyncio.sleep(0.05)
        raise StoreUnavailable("no answer in time")

    made.guard.store.run = never
    heard, _ = asyncio.run(ask(made))
    assert asked.is_set() and heard.ended
