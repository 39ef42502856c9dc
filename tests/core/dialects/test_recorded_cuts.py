"""Every recorded stream, cut at every kind of place a network may cut it: the same usage, the same bytes."""

from __future__ import annotations

import json
import lzma
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import Call, CutOff, Ending, Reported

PLACE = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")
SPOKEN = {**{name: name for name in DIALECTS}, "completions": "openai-completions"}
PLACES = {
    "inside a character": rb"[\x80-\xff](?=[\x80-\xbf])",
    "inside an escape": rb"\\(?=[nrtu\"\\])|\\u[0-9a-f](?=[0-9a-f])",
    "between two line ends": rb"[\r\n](?=[\r\n])",
    "behind a line end": rb"[\r\n](?=[^\r\n])",
    "inside a field's name": rb"(?<![^\n])(?:d|da|dat|e|ev|event)(?=[a-z:])",
    "behind a colon": rb":",
    "inside a number": rb"[0-9](?=[0-9])",
    "inside the usage's name": rb"\"us(?=age)|\"usage\"(?=:)|_tok(?=ens)|Token(?=Count)",
    "before a bracket": rb"(?=[{}\[\]])",
    "inside a string": rb"[a-z](?=[a-z]\")",
}
"""Kind of place -> what stands before the cut (and, looked ahead, behind it)."""
MOST = 4_000
"""Cuts of one stream at one kind of place, spread evenly where there are more."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One recorded stream."""

    id: str
    dialect: str
    model: str
    body: bytes

    def play(self, cuts: list[int], asked: bool = True) -> tuple[bytes, Ending]:
        """(what passed, how it ended) with the stream in pieces."""
        array = self.body.startswith(b"[")
        kind = "application/json" if array else "text/event-stream"
        call = Call(self.dialect, self.model, stream=True, wants_usage=asked)
        meter = DIALECTS[self.dialect].meter(call, {"content-type": kind})
        places = sorted({0, len(self.body), *cuts})
        passed = b"".join([meter.feed(self.body[a:b]) for a, b in pairwise(places)])
        return passed + meter.finish(), meter.ending()


@cache
def streams() -> list[Stream]:
    file = PLACE / "traffic.jsonl.xz"
    if not file.exists():
        pytest.skip("the corpus of recorded traffic is not here: set WEIGHBRIDGE_CORPUS")
    with lzma.open(file, "rt") as lines:
        return list(_streams(map(json.loads, lines)))


def _streams(rows: Iterator[dict[str, Any]]) -> Iterator[Stream]:
    for row in rows:
        if row["response_stream"] and row["dialect"] in SPOKEN:
            yield Stream(row["id"], SPOKEN[row["dialect"]], row["model"], row["response_stream"].encode())


def found(stream: Stream, kind: str) -> list[int]:
    """Places of a kind in a stream."""
    places = [match.end() for match in re.finditer(PLACES[kind], stream.body)]
    return places[:: max(1, len(places) // MOST)]


@pytest.mark.parametrize("kind", PLACES)
def test_cut_at_every_place_of_a_kind(kind: str) -> None:
    cut = 0
    for stream in streams():
        places = found(stream, kind)
        cut += bool(places)
        assert stream.play(places) == stream.play([]), stream.id
    assert cut >= 10, f"{cut} streams have such a place"


def test_cut_everywhere() -> None:
    for stream in streams():
        if len(stream.body) < 60_000:
            assert stream.play(list(range(len(stream.body)))) == stream.play([]), stream.id


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_cut_anywhere(data: st.DataObject) -> None:
    stream = data.draw(st.sampled_from(streams()), "stream")
    kinds = st.sampled_from(sorted(PLACES))
    places = [place for kind in data.draw(st.lists(kinds, max_size=2)) for place in found(stream, kind)]
    chosen = data.draw(st.lists(st.sampled_from(places), max_size=20)) if places else []
    anywhere = data.draw(st.lists(st.integers(0, len(stream.body)), max_size=10))
    asked = data.draw(st.booleans())
    assert stream.play([*chosen, *anywhere], asked) == stream.play([], asked)


def test_what_is_recorded_is_reported_and_what_breaks_off_is_not_lost() -> None:
    reported = [stream for stream in streams() if isinstance(stream.play([])[1], Reported)]
    assert len(reported) >= 0.85 * len(streams())
    for stream in reported:
        half = Stream(stream.id, stream.dialect, stream.model, stream.body[: len(stream.body) // 2])
        ending = half.play([])[1]
        assert isinstance(ending, Reported) or ending.seen_bytes or ending.seen_calls or len(half.body) < 2_000, (
            stream.id
        )


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_the_text_kept_of_a_broken_stream_is_bounded_and_even(part: float) -> None:
    for stream in streams():
        half = Stream(stream.id, stream.dialect, stream.model, stream.body[: int(len(stream.body) * part)])
        ending = half.play([])[1]
        if isinstance(ending, CutOff):
            assert len(ending.text.encode()) <= 32 * 1024
            assert ending.text_bytes <= ending.seen_bytes
