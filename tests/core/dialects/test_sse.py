from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects import sse
from weighbridge.core.dialects.sse import Event, Events


def read(stream: bytes, cuts: list[int] | None = None) -> list[Event]:
    """All events of a stream, fed in pieces ending at `cuts`."""
    events, reader = [], Events()
    ends = sorted(cut % (len(stream) + 1) for cut in cuts or [])
    for start, end in zip([0, *ends], [*ends, len(stream)], strict=True):
        events += reader.feed(stream[start:end])
    return events + reader.finish()


CASES = [
    pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="line feeds"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="both"),
    pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="carriage returns"),
    pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="several lines"),
    pytest.param(b"data:a\n\n", [b"a"], id="no blank"),
    pytest.param(b"data:  a\n\n", [b" a"], id="only one blank is taken"),
    pytest.param(b": ping\n\n", [b""], id="comment"),
    pytest.param(b"event: x\nid: 1\ndata: a\nretry: 5\n\n", [b"a"], id="other fields"),
    pytest.param(b"database: no\ndata\n\n", [b""], id="names that begin alike"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [b"a"], id="byte order mark"),
    pytest.param(b"data: a\n\ndata: b", [b"a", b"b"], id="unfinished end"),
    pytest.param(b"data: [DONE]\n\n", [b"[DONE]"], id="done"),
]


@pytest.mark.parametrize(("stream", "expected"), CASES)
def test_events_are_read_by_the_standard(stream: bytes, expected: list[bytes]) -> None:
    assert [event.data() for event in read(stream)] == expected
    assert [event.data() for event in read(stream, list(range(len(stream))))] == expected


LINES = st.sampled_from([b"data: a", b"data: \xc3\xa9", b": c", b"event: e", b"data:", b""])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS)).map(lambda lines: b"".join(line + end for line, end in lines)) | st.binary()


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=8))
def test_cuts_change_nothing_and_no_byte_is_lost(stream: bytes, cuts: list[int]) -> None:
    events = read(stream, cuts)
    assert b"".join(event.raw for event in events) == stream
    assert [event.data() for event in events if event.data()] == [e.data() for e in read(stream) if e.data()]


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_an_event_too_large_is_handed_on_unread(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(sse, "MOST", 64)
    stream = b"data: a\n\ndata: " + b"x" * 300 + b"\n\ndata: b\n\n"
    reader, events = Events(), []
    for start in range(0, len(stream), piece):
        events += reader.feed(stream[start : start + piece])
        assert len(reader._buffer) <= 64
    events += reader.finish()
    assert reader.blind
    assert b"".join(event.raw for event in events) == stream
    assert [event.data() for event in events if event.whole] == [b"a", b"b"]
