"""Streams that may not go on end like any other, wherever the chunks were cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import provider
from gateway.upstream import Seen
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.curtain import Curtain, curtain
from weighbridge.core.dialects.gemini_array import JsonArray
from weighbridge.core.dialects.sse import MOST, Events
from weighbridge.core.model import Call, Usage

USED = Usage(input=11, output=5, reasoning=2)
SSE, JSON = {"content-type": "text/event-stream"}, {"content-type": "application/json"}
ASKED = json.dumps({"model": "m", "stream": True, "stream_options": {"include_usage": True}}).encode()
TOOLS = json.dumps({"model": "m", "stream": True, "tools": [1]}).encode()


def recorded(say: Callable[[Seen], Any], query: str = "", body: bytes = ASKED) -> bytes:
    return b"".join(say(Seen("POST", "/v1/m:streamGenerateContent", query, {}, body)).steps)


CASES: dict[str, tuple[str, dict[str, str], bytes]] = {
    "chat": ("openai-chat", SSE, recorded(provider.chat)),
    "chat tools": ("openai-chat", SSE, recorded(provider.chat, body=TOOLS)),
    "completions": ("openai-completions", SSE, recorded(provider.completions)),
    "responses": ("openai-responses", SSE, recorded(provider.responses)),
    "anthropic": ("anthropic-messages", SSE, recorded(provider.messages)),
    "anthropic tools": ("anthropic-messages", SSE, recorded(provider.messages, body=TOOLS)),
    "gemini": ("gemini-generate", SSE, recorded(provider.gemini, query="alt=sse")),
    "gemini array": ("gemini-generate", JSON, recorded(provider.gemini)),
}


def objects(headers: Any, body: bytes) -> list[Any]:
    """The events of a whole stream; fails where it is not whole."""
    if headers is JSON:
        array = JsonArray(MOST)
        found = array.feed(body)
        assert array.ended and json.loads(body) == [json.loads(text) for text in found]
        return [json.loads(text) for text in found]
    events = Events()
    texts = [event.data() for event in events.feed(body)]
    assert events.idle
    return [json.loads(text) for text in texts if text != b"[DONE]"]


def play(drawn: Curtain, stream: bytes, size: int, after: int) -> bytes:
    """What a client gets of chunks of this size when the curtain is to fall after so many bytes."""
    heard = b""
    for at in range(0, len(stream), size):
        heard += drawn.feed(stream[at : at + size])
        if not drawn.fallen and at + size >= after:
            heard += drawn.fall(USED)
        if drawn.fallen:
            break
    return heard


def reasons(events: list[Any]) -> list[Any]:
    """Why the answer ended, by its own words, as often as it says so."""
    found = []
    for event in events:
        choices = event.get("choices") or event.get("candidates") or []
        found += [c.get("finish_reason") or c.get("finishReason") for c in choices]
        found.append((event.get("delta") or {}).get("stop_reason") if isinstance(event.get("delta"), dict) else None)
        found.append((event.get("response") or {}).get("incomplete_details"))
        found.append("completed" if event.get("type") == "response.completed" else None)
    return [reason for reason in found if reason]


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=60)
@given(data=st.data())
def test_wherever_it_falls_the_stream_is_whole(name: str, data: st.DataObject) -> None:
    dialect, headers, stream = CASES[name]
    size, after = data.draw(st.integers(1, 400)), data.draw(st.integers(1, len(stream)))
    drawn = curtain(DIALECTS[dialect].closing, Call(dialect, "m", stream=True), headers)
    assert drawn is not None
    heard = play(drawn, stream, size, after)
    events = objects(headers, heard)
    assert len(reasons(events)) == 1 or heard == stream
    kept = objects(headers, stream)
    common = next((i for i, (a, b) in enumerate(zip(events, kept, strict=False)) if a != b), len(events))
    assert len(events) - common <= 4, "what came goes through; a few last words follow"


@pytest.mark.parametrize("name", CASES)
def test_a_curtain_that_does_not_fall_changes_nothing(name: str) -> None:
    dialect, headers, stream = CASES[name]
    drawn = curtain(DIALECTS[dialect].closing, Call(dialect, "m", stream=True), headers)
    assert drawn is not None
    assert play(drawn, stream, 7, len(stream) + 1000) == stream and not drawn.fallen


def test_where_nothing_can_be_added_there_is_none() -> None:
    call = Call("openai-chat", "m", stream=True)
    assert curtain(DIALECTS["openai-chat"].closing, call, {**SSE, "content-encoding": "gzip"}) is None
    assert curtain(DIALECTS["openai-chat"].closing, call, JSON) is None
    assert curtain(DIALECTS["openai-embeddings"].closing, call, SSE) is None


def test_every_choice_is_ended() -> None:
    drawn = curtain(DIALECTS["openai-chat"].closing, Call("openai-chat", "m", stream=True, choices=3), SSE)
    assert drawn is not None
    first = b'data: {"id": "x", "choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]}\n\n'
    events = objects(SSE, drawn.feed(first) + drawn.fall(USED))
    assert [(c["index"], c["finish_reason"]) for e in events for c in e["choices"]] == [
        (1, "stop"), (0, "length"), (2, "length"),
    ]  # fmt: skip
    assert {event["id"] for event in events} == {"x"}
    assert events[-1]["usage"] == {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}


def test_a_response_says_its_item_again() -> None:
    stream = recorded(provider.responses)
    drawn = curtain(DIALECTS["openai-responses"].closing, Call("openai-responses", "m", stream=True), SSE)
    assert drawn is not None
    cut = stream.index(b"event: response.output_item.done")
    heard = objects(SSE, drawn.feed(stream[:cut]) + drawn.fall(USED))
    last = heard[-1]["response"]
    assert (last["status"], last["output"][0]["content"][0]["text"]) == ("incomplete", provider.TEXT)
    assert [event["type"] for event in heard[-4:]] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete",
    ]  # fmt: skip
    assert [event["sequence_number"] for event in heard] == list(range(len(heard)))


def test_a_long_response_ends_without_repeating_itself() -> None:
    drawn = curtain(DIALECTS["openai-responses"].closing, Call("openai-responses", "m", stream=True), SSE)
    assert drawn is not None
    stream = recorded(provider.responses)
    begun = stream[: stream.index(b"event: response.output_text.delta")]
    word = b'data: {"type": "response.output_text.delta", "delta": "%s"}\n\n' % (b"x" * 1000)
    heard = objects(SSE, drawn.feed(begun + word * 40) + drawn.fall(USED))
    assert heard[-2]["type"] == "response.output_text.delta" and heard[-1]["response"]["output"] == []
