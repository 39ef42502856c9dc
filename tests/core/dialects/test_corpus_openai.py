"""Recorded traffic of OpenAI's formats: every request is read, every reported usage is read exactly."""

from __future__ import annotations

import json
import lzma
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.openai_answer import without_choices
from weighbridge.core.model import CutOff, RawCall, Reported

CORPUS = Path(os.environ.get("WEIGHBRIDGE_CORPUS", Path(__file__).parents[4] / "shared" / "corpus"))
SPOKEN: Mapping[str, str] = {
    "openai-chat": "openai-chat",
    "writer-chat": "openai-chat",
    "openai-responses": "openai-responses",
    "completions": "openai-completions",
    "embeddings": "openai-embeddings",
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Recorded exchanges; embeddings only in OpenAI's own shape (others have no `input`)."""
    path = CORPUS / "traffic.jsonl.xz"
    if not path.exists():
        pytest.skip("no recorded traffic: set WEIGHBRIDGE_CORPUS to the directory of traffic.jsonl.xz")
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        found = [row for row in map(json.loads, lines) if row["dialect"] in SPOKEN]
    return [row for row in found if row["dialect"] != "embeddings" or "input" in row["request"]]


def answer_of(row: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """An answer's headers and bytes."""
    if row.get("response_stream"):
        return {"content-type": "text/event-stream"}, row["response_stream"].encode()
    return {"content-type": "application/json"}, json.dumps(row["response_body"]).encode()


def unasked(stream: bytes) -> bytes:
    """The stream without usage chunks."""
    events = stream.split(b"\n\n")
    kept = [e for e in events if not (b'"usage":{' in e and without_choices(json.loads(e.removeprefix(b"data: "))))]
    return b"\n\n".join(kept)


def test_every_exchange_is_read_and_metered_exactly(rows: list[dict[str, Any]]) -> None:
    chance = random.Random(20261122)
    reported = 0
    for row in rows:
        dialect = DIALECTS[SPOKEN[row["dialect"]]]
        # A few hosts name the model in their path.
        model = None if row["request"].get("model") else row["model"] or "unnamed"
        call = dialect.parse(RawCall(dialect.name, json.dumps(row["request"]).encode(), model=model))
        headers, answer = answer_of(row)
        meter, passed, at = dialect.meter(call, headers), b"", 0
        while at < len(answer):
            piece = answer[at : at + chance.choice((1, 2, 7, 100, 1000, 50_000))]
            passed, at = passed + meter.feed(piece), at + len(piece)
        passed += meter.finish()
        assert passed == (answer if call.wants_usage else unasked(answer)), row["id"]
        ending = meter.ending()
        if row["input_tokens"] is None:
            # No usage at all, or (three embeddings) only a total.
            assert isinstance(ending, CutOff) or ending.usage.input == row["usage"]["total_tokens"], row["id"]  # type: ignore[union-attr]
            continue
        assert isinstance(ending, Reported), row["id"]
        used = ending.usage
        billed = [row.get(key) or 0 for key in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")]
        assert [used.input, used.output, used.cache_read, used.reasoning] == billed, row["id"]
        reported += 1
    assert reported > 0
