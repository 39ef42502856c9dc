"""Every recorded exchange with Anthropic and Gemini is read, and billed as it was."""

from __future__ import annotations

import json
import lzma
import os
import random
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.dialects import anthropic_messages, gemini_generate
from weighbridge.core.dialects.base import Dialect
from weighbridge.core.model import Call, RawCall, Reported

DIALECTS: dict[str, Dialect] = {d.name: d for d in (anthropic_messages.DIALECT, gemini_generate.DIALECT)}
BILLED = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "tool_use_prompt_tokens")
ROWS = {"anthropic-messages": 258, "gemini-generate": 302}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    beside = Path(__file__).parents[3].parent / "shared" / "corpus"
    traffic = Path(os.environ.get("WEIGHBRIDGE_CORPUS", beside)) / "traffic.jsonl.xz"
    if not traffic.exists():
        pytest.skip("recorded traffic is not here: set WEIGHBRIDGE_CORPUS to its folder")
    with lzma.open(traffic, "rt") as lines:
        return [row for row in map(json.loads, lines) if row["dialect"] in DIALECTS]


def parse(row: Row) -> Call:
    named_by_path = row["dialect"] == "gemini-generate"
    body = json.dumps(row["request"]).encode()
    return DIALECTS[row["dialect"]].parse(
        RawCall(
            row["dialect"],
            body,
            model=row["model"] if named_by_path else None,
            stream=bool(row["stream"]) if named_by_path else None,
        )
    )


def answer(row: Row) -> tuple[bytes, dict[str, str]]:
    stream = row["response_stream"]
    if stream is None:
        return json.dumps(row["response_body"]).encode(), {"content-type": "application/json"}
    kind = "application/json" if stream.lstrip().startswith("[") else "text/event-stream"
    return stream.encode(), {"content-type": kind}


def billed(row: Row, chance: random.Random) -> tuple[int, ...] | str:
    """What a meter says when the answer comes in pieces cut anywhere."""
    data, headers = answer(row)
    meter = DIALECTS[row["dialect"]].meter(parse(row), headers)
    while data:
        size = chance.choice((1, 13, 500, 20_000))
        meter.feed(data[:size])
        data = data[size:]
    meter.finish()
    ending = meter.ending()
    if not isinstance(ending, Reported):
        return repr(ending)
    used = ending.usage
    return used.input, used.output, used.cache_read, used.reasoning, used.tool_input


@pytest.mark.parametrize("dialect", DIALECTS)
def test_recorded_answers_are_billed_as_they_were(rows: list[Row], dialect: str) -> None:
    chance = random.Random(2)
    mine = [row for row in rows if row["dialect"] == dialect]
    wrong = {
        row["id"]: found
        for row in mine
        if (found := billed(row, chance)) != tuple(row.get(name) or 0 for name in BILLED)
    }
    assert wrong == {}
    assert len(mine) >= ROWS[dialect]
