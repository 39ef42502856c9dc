from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects.anthropic_messages import DIALECT
from weighbridge.core.model import Call, CutOff, RawCall, Reported, Usage

SSE = {"content-type": "text/event-stream; charset=utf-8"}


def parse(**members: Any) -> Call:
    body = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": "Hello"}], **members}
    return DIALECT.parse(RawCall("anthropic-messages", json.dumps(body).encode()))


START = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1}
USAGES: dict[str, tuple[Any, Usage | None]] = {
    "plain": ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
    "caches": (
        {**START, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5}},
        Usage(22, 1, cache_read=5, cache_write=2, cache_write_1h=5),
    ),
    "write-of-unknown-age": (START, Usage(22, 1, cache_read=5, cache_write=7)),
    "nulls": ({"input_tokens": 3, "output_tokens": 0, "cache_read_input_tokens": None}, Usage(3, 0)),
    "thinking": (
        {"input_tokens": 3, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 6}},
        Usage(3, 9, reasoning=6),
    ),
    "standard": ({"input_tokens": 1, "output_tokens": 1, "service_tier": "standard"}, Usage(1, 1, tier="standard")),
    "priority": ({"input_tokens": 1, "output_tokens": 1, "service_tier": "priority"}, Usage(1, 1, tier="priority")),
    "empty": ({}, None),
    "nonsense": ([1], None),
}


@pytest.mark.parametrize(("reported", "expected"), USAGES.values(), ids=USAGES)
def test_usage(reported: Any, expected: Usage | None) -> None:
    assert DIALECT.usage({"type": "message", "usage": reported}) == expected


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def delta(**usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)


BEGIN = event("message_start", message={"role": "assistant", "usage": START})
WORDS = event("content_block_delta", index=0, delta={"type": "text_delta", "text": 'say "usage"'})
ARGUMENTS = event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a'})
STOP = event("message_stop")
PARTIAL = Usage(22, 1, cache_read=5, cache_write=7)
SEEN = len(rb"say \"usage\"") + len(rb"{\"a")
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})

STREAMS: dict[str, tuple[bytes, str, Any]] = {
    "output-only": (
        BEGIN + WORDS + delta(output_tokens=30) + STOP,
        "",
        Reported(Usage(22, 30, cache_read=5, cache_write=7)),
    ),
    "cumulative": (
        BEGIN + delta(input_tokens=40, cache_read_input_tokens=6, cache_creation_input_tokens=None, output_tokens=30),
        "",
        Reported(Usage(53, 30, cache_read=6, cache_write=7)),
    ),
    "client-left-after-usage": (
        BEGIN + delta(output_tokens=30),
        "client left",
        Reported(Usage(22, 30, cache_read=5, cache_write=7)),
    ),
    "cut": (BEGIN + WORDS + ARGUMENTS, "client left", CutOff("client left", PARTIAL, SEEN, 2)),
    "ended-early": (BEGIN + WORDS + ARGUMENTS, "", CutOff("no final usage reported", PARTIAL, SEEN, 2)),
    "error": (
        BEGIN + OVERLOADED,
        "",
        CutOff("provider error overloaded_error: Overloaded", PARTIAL, 0, 0),
    ),
    "nothing": (b"", "connection reset", CutOff("connection reset")),
}


@pytest.mark.parametrize(("stream", "cut", "expected"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_streams(stream: bytes, cut: str, expected: Any, size: int) -> None:
    meter = DIALECT.meter(parse(stream=True), SSE)
    for at in range(0, len(stream), size):
        chunk = stream[at : at + size]
        assert meter.feed(chunk) is chunk
    assert meter.finish() == b""
    assert meter.ending(cut) == expected


WHOLE = BEGIN + WORDS + ARGUMENTS + delta(output_tokens=30) + STOP


@given(end=st.integers(0, len(WHOLE)), cuts=st.lists(st.integers(0, len(WHOLE))))
def test_a_stream_broken_off_anywhere_never_reports_less_than_it_said(end: int, cuts: list[int]) -> None:
    meter = DIALECT.meter(parse(stream=True), SSE)
    places = sorted({0, end, *(cut for cut in cuts if cut < end)})
    for a, b in pairwise(places):
        meter.feed(WHOLE[a:b])
    ending = meter.ending("client left")
    complete = end >= len(WHOLE) - len(STOP) - 2
    assert isinstance(ending, Reported if complete else CutOff)
    if isinstance(ending, CutOff):
        assert ending.partial in (None, PARTIAL)
        assert ending.partial is not None or end < len(BEGIN)


def test_a_plain_answer() -> None:
    body = json.dumps({"content": [{"type": "text", "text": "four"}], "usage": START}).encode()
    half = body.index(b'"}]')
    whole, cut = (DIALECT.meter(parse(), {"content-type": "application/json"}) for _ in range(2))
    cut.feed(body[:half])
    assert cut.ending("reset") == CutOff("reset", None, len("four"), 1)
    whole.feed(body[:half])
    whole.feed(body[half:])
    assert whole.ending() == Reported(PARTIAL)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(["input_tokens", "output_tokens", "cache_creation", "usage", "type", "message"])


@given(answer=st.dictionaries(FIELDS | st.just("error"), ANYTHING | st.dictionaries(FIELDS, ANYTHING)))
def test_a_provider_may_say_anything(answer: dict[str, Any]) -> None:
    DIALECT.usage(answer)
    meter = DIALECT.meter(parse(stream=True), SSE)
    meter.feed(BEGIN + b"data: " + json.dumps(answer).encode() + b"\n\n")
    meter.ending()
