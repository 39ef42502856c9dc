"""Meters, whatever the dialect: bounds, encodings, broken ends, and bytes that stay as they were."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects import answer, openai_chat, sse, unpack
from weighbridge.core.dialects.base import Meter
from weighbridge.core.model import Call, CutOff, Ending, Reported, Usage

PLAIN = {"content-type": "application/json; charset=utf-8"}
STREAM = {"content-type": "text/event-stream; charset=utf-8"}
ASKED = Call("openai-chat", "m", stream=True)
SILENT = Call("openai-chat", "m", stream=True, wants_usage=False)
USED = Usage(input=7, output=2)


def chunk(text: str | None = None, usage: object = None, end: str | None = None) -> bytes:
    """One event of a chat stream."""
    choices = [] if text is None else [{"index": 0, "delta": {"content": text}, "finish_reason": end}]
    return b"data: " + json.dumps({"choices": choices, "usage": usage}).encode() + b"\n\n"


REPORT = {"prompt_tokens": 7, "completion_tokens": 2}
USAGE = chunk(usage=REPORT)
DONE = b"data: [DONE]\n\n"
WHOLE = chunk("Hé") + chunk("llo", end="stop") + USAGE + DONE
BODY = json.dumps({"choices": [{"message": {"content": "Hello"}}], "usage": REPORT}).encode()


def run(meter: Meter, data: bytes, size: int, cut: str = "") -> tuple[bytes, Ending]:
    """What passed, and how it ended, with the answer in pieces of `size` bytes."""
    passed = b"".join(meter.feed(data[i : i + size]) for i in range(0, len(data), size))
    return passed + (b"" if cut else meter.finish()), meter.ending(cut)


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
@pytest.mark.parametrize(
    ("headers", "data"),
    [
        pytest.param(PLAIN, BODY, id="plain"),
        pytest.param(STREAM, WHOLE, id="stream"),
        pytest.param(STREAM, WHOLE.replace(b"\n", b"\r\n"), id="stream with carriage returns"),
        pytest.param({**PLAIN, "content-encoding": "gzip"}, gzip.compress(BODY), id="gzip"),
        pytest.param(
            {**PLAIN, "content-encoding": "gzip"}, gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), id="gzips"
        ),
        pytest.param({**STREAM, "content-encoding": "gzip"}, gzip.compress(WHOLE), id="gzip stream"),
        pytest.param({**PLAIN, "content-encoding": "deflate"}, zlib.compress(BODY), id="deflate"),
        pytest.param({**PLAIN, "content-encoding": "deflate"}, zlib.compress(BODY)[2:-4], id="raw deflate"),
        pytest.param({**PLAIN, "content-encoding": "identity"}, BODY, id="identity"),
    ],
)
def test_usage_is_read_and_bytes_pass_untouched(headers: dict[str, str], data: bytes, size: int) -> None:
    passed, ending = run(openai_chat.watch(ASKED, headers), data, size)
    assert passed == data
    assert ending == Reported(USED)


def test_chunks_pass_as_the_very_same_objects() -> None:
    meter = openai_chat.watch(ASKED, STREAM)
    for piece in (WHOLE[:11], WHOLE[11:]):
        assert meter.feed(piece) is piece
    silent = openai_chat.watch(SILENT, STREAM)
    piece = chunk("a")
    assert silent.feed(piece) is piece


SEEN = CutOff("gone", None, seen_bytes=5, seen_events=2)
GZIP = {**PLAIN, "content-encoding": "gzip"}
ENDS = [
    pytest.param(STREAM, chunk("ab") + chunk("cde"), "gone", SEEN, id="stream broke off"),
    pytest.param(STREAM, chunk("ab") + chunk("cde")[:-9], "gone", SEEN, id="stream broke off in an event"),
    pytest.param(STREAM, WHOLE[: -len(DONE)], "gone", Reported(USED), id="broke off behind the usage"),
    pytest.param(STREAM, chunk("ab", REPORT), "gone", CutOff("gone", USED, 2, 1), id="usage so far"),
    pytest.param(STREAM, chunk("ab", REPORT, "stop"), "gone", Reported(USED), id="usage with the end"),
    pytest.param(STREAM, chunk("ab", REPORT) + DONE, "", Reported(USED), id="usage, then done"),
    pytest.param(
        STREAM, chunk("ab", REPORT), "", CutOff("no final usage reported", USED, 2, 1), id="usage, then nothing"
    ),
    pytest.param(STREAM, chunk("ab") + DONE, "", CutOff("no usage reported", None, 2, 1), id="no usage"),
    pytest.param(STREAM, b"", "", CutOff("no usage reported"), id="nothing"),
    pytest.param(STREAM, b"data: {broken\n\ndata: 1\n\n", "", CutOff("no usage reported"), id="nonsense"),
    pytest.param(STREAM, chunk(usage={"prompt_tokens": 0, "completion_tokens": 0}), "", Reported(Usage()), id="zero"),
    pytest.param(PLAIN, b'{"usage":{"prompt_tokens":0}}', "", Reported(Usage()), id="plain zero"),
    pytest.param(PLAIN, b'{"usage":null}', "", CutOff("no usage reported"), id="plain null"),
    pytest.param(PLAIN, b'{"choices":[{"content":"abc', "gone", CutOff("gone", None, 3, 1), id="plain broke off"),
    pytest.param(PLAIN, b"[]", "", CutOff("no usage reported"), id="plain array"),
    pytest.param(PLAIN, b"\xff\xfe", "", CutOff("no usage reported"), id="plain noise"),
    pytest.param(GZIP, b"no gzip", "", CutOff("a content encoding that does not unpack"), id="not gzip"),
    pytest.param({**PLAIN, "content-encoding": "br"}, BODY, "", CutOff("unreadable encoding br"), id="brotli"),
    pytest.param({**STREAM, "content-encoding": "zstd"}, WHOLE, "", CutOff("unreadable encoding zstd"), id="zstd"),
]


@pytest.mark.parametrize(("headers", "data", "cut", "expected"), ENDS)
def test_how_it_ended(headers: dict[str, str], data: bytes, cut: str, expected: Ending) -> None:
    meter = openai_chat.watch(ASKED, headers)
    passed, ending = run(meter, data, 5, cut)
    assert passed == data
    assert ending == expected == meter.ending(cut)


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
def test_a_stream_that_was_asked_for_needs_no_name(headers: dict[str, str]) -> None:
    assert run(openai_chat.watch(ASKED, headers), WHOLE, 9) == (WHOLE, Reported(USED))
    assert run(openai_chat.watch(ASKED, PLAIN), BODY, 9) == (BODY, Reported(USED))


def test_the_last_of_growing_reports_wins() -> None:
    reports = [{"prompt_tokens": 7, "completion_tokens": n} for n in (1, 2, 3)]
    stream = b"".join(chunk("a", report, "stop" if i == 2 else None) for i, report in enumerate(reports))
    assert run(openai_chat.watch(ASKED, STREAM), stream, 9)[1] == Reported(Usage(input=7, output=3))


@pytest.mark.parametrize("size", [1, 4, 64, 10_000])
def test_the_usage_chunk_nobody_asked_for_is_withheld(size: int) -> None:
    passed, ending = run(openai_chat.watch(SILENT, STREAM), WHOLE, size)
    assert passed == chunk("Hé") + chunk("llo", end="stop") + DONE
    assert ending == Reported(USED)


def test_a_first_chunk_without_choices_is_no_usage_chunk() -> None:
    stream = b'data: {"choices":[],"prompt_filter_results":[]}\n\n' + chunk("a", REPORT, "stop") + DONE
    assert run(openai_chat.watch(SILENT, STREAM), stream, 10)[0] == stream


def test_a_withheld_chunk_in_a_compressed_stream_cannot_be_taken_out() -> None:
    packed = gzip.compress(WHOLE)
    assert run(openai_chat.watch(SILENT, {**STREAM, "content-encoding": "gzip"}), packed, 7) == (packed, Reported(USED))


TEXTS = st.lists(st.text(max_size=8), max_size=5)
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=20)


@given(TEXTS, CUTS, st.booleans(), st.booleans())
def test_any_cut_gives_the_same_answer(texts: list[str], cuts: list[int], reported: bool, asked: bool) -> None:
    events = [chunk(text) for text in texts] + ([USAGE] if reported else []) + [DONE]
    stream = b"".join(events)
    meter = openai_chat.watch(ASKED if asked else SILENT, STREAM)
    passed, at, turn = b"", 0, 0
    while at < len(stream):
        piece = stream[at : at + cuts[turn % len(cuts)]]
        passed += meter.feed(piece)
        at, turn = at + len(piece), turn + 1
    passed += meter.finish()
    assert passed == (stream if asked else stream.replace(USAGE, b""))
    ending = meter.ending()
    if reported:
        assert ending == Reported(USED)
    else:
        assert isinstance(ending, CutOff)
        assert ending.seen_bytes >= len("".join(texts).encode("utf-8", "surrogatepass"))
        assert ending.seen_events == sum(map(bool, texts))


@given(st.binary(max_size=300), st.sampled_from([PLAIN, STREAM, GZIP, {}]))
def test_any_bytes_pass_and_end(data: bytes, headers: dict[str, str]) -> None:
    passed, ending = run(openai_chat.watch(ASKED, headers), data, 7)
    assert passed == data
    assert isinstance(ending, CutOff)


def test_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "LARGEST_BODY", 100)
    body = b'{"content":"' + b"x" * 500 + b'","usage":{"prompt_tokens":1}}'
    passed, ending = run(openai_chat.watch(ASKED, PLAIN), body, 50)
    assert passed == body
    assert isinstance(ending, CutOff) and ending.seen_bytes >= 500
    assert ending.reason == "an answer too large to be read"
    monkeypatch.setattr(sse, "MOST", 100)
    stream = b'data: {"content":"' + b"x" * 500 + b'"}\n\n' + DONE
    ending = run(openai_chat.watch(ASKED, STREAM), stream, 50)[1]
    assert isinstance(ending, CutOff) and ending.seen_bytes >= 500
    assert ending.reason == "an event too large to be read"
    assert run(openai_chat.watch(ASKED, STREAM), stream + USAGE, 50)[1] == Reported(USED)
    monkeypatch.setattr(unpack, "MOST_AT_ONCE", 1000)
    ending = run(openai_chat.watch(ASKED, GZIP), gzip.compress(b" " * 100_000), 10_000)[1]
    assert ending == CutOff("a content encoding that unpacks to too much")
