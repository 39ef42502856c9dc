from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects.gemini_array import JsonArray
from weighbridge.core.dialects.gemini_generate import DIALECT
from weighbridge.core.model import CutOff, Ending, RawCall, Reported, Usage

SSE = {"content-type": "text/event-stream"}
ARRAY = {"content-type": "application/json; charset=UTF-8"}


def raw(candidates: int = 1, stream: bool = True) -> RawCall:
    body = {"contents": [{"parts": [{"text": "Hello"}]}], "generationConfig": {"candidateCount": candidates}}
    return RawCall("gemini-generate", json.dumps(body).encode(), model="gemini-x", stream=stream)


def meta(prompt: int, **counts: Any) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": prompt, **counts}}


USAGES: dict[str, tuple[Any, Usage | None]] = {
    "plain": (meta(3, candidatesTokenCount=4, totalTokenCount=7), Usage(3, 4)),
    "thoughts": (meta(3, candidatesTokenCount=4, thoughtsTokenCount=9), Usage(3, 13, reasoning=9)),
    "nothing-visible": (meta(3, thoughtsTokenCount=9), Usage(3, 9, reasoning=9)),
    "cached": (meta(30, cachedContentTokenCount=20), Usage(30, 0, cache_read=20)),
    "tools": (meta(3, toolUsePromptTokenCount=70), Usage(3, 0, tool_input=70)),
    "audio": (
        meta(
            9,
            candidatesTokenCount=5,
            promptTokensDetails=[{"modality": "TEXT", "tokenCount": 2}, {"modality": "AUDIO", "tokenCount": 7}],
            candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 5}],
        ),
        Usage(9, 5, audio_input=7, audio_output=5),
    ),
    "blocked": ({"usageMetadata": {"trafficType": "ON_DEMAND"}}, Usage(tier="standard")),
    "flex": (meta(1, trafficType="ON_DEMAND_FLEX"), Usage(1, tier="flex")),
    "absent": ({"candidates": []}, None),
    "nonsense": (meta("3", promptTokensDetails=[1, {"modality": 1}]), Usage()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("answer", "expected"), USAGES.values(), ids=USAGES)
def test_usage(answer: Any, expected: Usage | None) -> None:
    assert DIALECT.usage(answer) == expected


def chunk(text: str, finish: str | None = None, index: int = 0, **members: Any) -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": index, "finishReason": finish}
    return {"candidates": [{key: value for key, value in candidate.items() if value is not None}], **members}


def framed(chunks: list[Any], headers: dict[str, str]) -> bytes:
    texts = [json.dumps(item, ensure_ascii=False) for item in chunks]
    if headers is SSE:
        return "".join(f"data: {text}\r\n\r\n" for text in texts).encode()
    return ("[" + "\n,\r\n".join(texts) + "\n]\n").encode()


def run(stream: bytes, headers: dict[str, str], size: int, cut: str = "", wanted: int = 1) -> Ending:
    meter = DIALECT.meter(DIALECT.parse(raw(wanted)), headers)
    for at in range(0, len(stream), size):
        piece = stream[at : at + size]
        assert meter.feed(piece) is piece
    if not cut:
        assert meter.finish() == b""
    return meter.ending(cut)


ERROR = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
STREAMS: dict[str, tuple[list[Any], str, int, Any]] = {
    "last-wins": ([chunk("a", **meta(10)), chunk("b", "STOP", **meta(9, candidatesTokenCount=5))], "", 1, Usage(9, 5)),
    "fields-left-out": (
        [
            chunk("a", **meta(10, thoughtsTokenCount=7, candidatesTokenCount=1)),
            chunk("b", "STOP", usageMetadata={"candidatesTokenCount": 5}),
        ],
        "",
        1,
        Usage(10, 12, reasoning=7),
    ),
    "left-after-the-finish": ([chunk("a", "STOP", **meta(9, candidatesTokenCount=5))], "client left", 1, Usage(9, 5)),
    "ended-by-itself": ([chunk("a", **meta(9, candidatesTokenCount=5))], "", 1, Usage(9, 5)),
    "blocked": ([{"promptFeedback": {"blockReason": "SAFETY"}, **meta(9)}], "", 1, Usage(9)),
    "cut": ([chunk("a", **meta(9, candidatesTokenCount=5))], "reset", 1, CutOff("reset", Usage(9, 5), 1, 1)),
    "one-of-two-finished": (
        [chunk("a", "STOP", **meta(9, candidatesTokenCount=5)), chunk("b", index=1)],
        "reset",
        2,
        CutOff("reset", Usage(9, 5), 2, 2),
    ),
    "both-finished": (
        [chunk("a", "STOP"), chunk("b", "STOP", 1, **meta(9, candidatesTokenCount=5))],
        "reset",
        2,
        Usage(9, 5),
    ),
    "error": (
        [chunk("a", **meta(9)), ERROR],
        "",
        1,
        CutOff("provider error UNAVAILABLE: The model is overloaded.", Usage(9), 1, 1),
    ),
    "no-usage": ([chunk("a", "STOP")], "", 1, CutOff("no usage reported", None, 1, 1)),
    "arguments": (
        [{"candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}}]}],
        "reset",
        1,
        CutOff("reset", None, len('"a": 1'), 1),
    ),
}


@pytest.mark.parametrize(("chunks", "cut", "wanted", "expected"), STREAMS.values(), ids=STREAMS)
@pytest.mark.parametrize("headers", [SSE, ARRAY], ids=["sse", "array"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_streams(chunks: list[Any], cut: str, wanted: int, expected: Any, headers: dict[str, str], size: int) -> None:
    ending = run(framed(chunks, headers), headers, size, cut, wanted)
    assert ending == (Reported(expected) if isinstance(expected, Usage) else expected)


def test_an_array_that_is_not_closed_was_broken_off() -> None:
    stream = framed([chunk("a", **meta(9, candidatesTokenCount=5))], ARRAY).rstrip(b"\n]")
    assert run(stream, ARRAY, 50) == CutOff("the array was not closed", Usage(9, 5), 1, 1)


WHOLE = [
    chunk('tricky ]} "] \\" {[', **meta(10, candidatesTokenCount=2)),
    chunk("ü\n\u2028", **meta(10, candidatesTokenCount=3, thoughtsTokenCount=4)),
    chunk("end", "STOP", **meta(9, candidatesTokenCount=5)),
]
REPORTS = [None, Usage(10, 2), Usage(10, 7, reasoning=4)]


@pytest.mark.parametrize("headers", [SSE, ARRAY], ids=["sse", "array"])
@given(data=st.data())
def test_a_stream_broken_off_anywhere_keeps_what_was_said(headers: dict[str, str], data: st.DataObject) -> None:
    stream = framed(WHOLE, headers)
    end = data.draw(st.integers(0, len(stream)))
    ending = run(stream[:end], headers, data.draw(st.integers(1, 60)), "client left")
    if isinstance(ending, Reported):
        assert ending.usage == Usage(9, 9, reasoning=4)
        assert end >= len(stream) - len(b"\r\n\r\n")
    else:
        assert isinstance(ending, CutOff)
        assert ending.partial in REPORTS
        assert end < len(stream)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\{}[],:\nü', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    items=st.lists(st.dictionaries(st.text(max_size=5), VALUES), max_size=5),
    indent=st.sampled_from([None, 2]),
    plain=st.booleans(),
    sizes=st.lists(st.integers(1, 30), min_size=1),
)
def test_an_array_is_cut_into_its_elements(items: list[Any], indent: int | None, plain: bool, sizes: list[int]) -> None:
    rest = json.dumps(items, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    array = JsonArray(largest=1 << 20)
    elements: list[bytes] = []
    turn = 0
    while rest:
        size = sizes[turn % len(sizes)]
        elements += array.feed(rest[:size])
        rest, turn = rest[size:], turn + 1
    assert [json.loads(element.decode("utf-8", "surrogatepass")) for element in elements] == items
    assert array.ended


def test_an_element_too_large_is_passed_over() -> None:
    array = JsonArray(largest=20)
    stream = json.dumps([{"text": "x" * 50}, {"a": 1}]).encode()
    found = [element for at in range(len(stream)) for element in array.feed(stream[at : at + 1])]
    assert (found, array.passed_over) == ([b'{"a": 1}'], len(json.dumps({"text": "x" * 50})))


def test_a_plain_answer() -> None:
    meter = DIALECT.meter(DIALECT.parse(raw(stream=False)), ARRAY)
    meter.feed(json.dumps(chunk("four", "STOP", **meta(3, candidatesTokenCount=1))).encode())
    assert meter.ending() == Reported(Usage(3, 1))


FIELDS = st.sampled_from(["promptTokenCount", "promptTokensDetails", "finishReason", "index", "modality", "status"])
SHAPED = VALUES | st.dictionaries(FIELDS, VALUES)


@given(
    answer=st.dictionaries(
        st.sampled_from(["usageMetadata", "candidates", "error"]), SHAPED | st.lists(SHAPED, max_size=3)
    )
)
def test_a_provider_may_say_anything(answer: dict[str, Any]) -> None:
    DIALECT.usage(answer)
    for headers in (SSE, ARRAY):
        run(framed([answer], headers), headers, 1000)
