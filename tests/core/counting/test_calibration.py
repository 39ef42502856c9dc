"""A user's calibration: laid over estimates, written and read, and consistent with stopping early."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting import estimate
from weighbridge.core.counting.calibration import FORMAT, Calibration, Key, Line, document, key_of, read
from weighbridge.core.errors import ConfigError
from weighbridge.core.model import (
    Call,
    Estimate,
    Media,
    Message,
    Model,
    Parts,
    Text,
    Thinking,
    Tool,
    ToolResult,
    Unseen,
)
from weighbridge.tokenizers import load

lines = st.builds(
    Line,
    add=st.integers(-500, 5000),
    factor=st.floats(0.1, 10.0),
    slack=st.floats(0, 20),
    rows=st.integers(0, 1000),
)
keys = st.builds(Key, st.text(max_size=5), st.text(max_size=5), st.booleans(), st.booleans())
parts = st.builds(Parts, **{field.name: st.integers(0, 500) for field in fields(Parts)})
MODEL = Model("gpt-4o", "gpt-4o", "openai", "o200k_base", max_input=128_000)


def total(found: Parts) -> int:
    return sum(getattr(found, field.name) for field in fields(Parts))


def call(*words: str, **more: Any) -> Call:
    return Call("openai-chat", "gpt-4o", tuple(Message("user", (Text(word),)) for word in words), **more)


@given(lines, parts, st.integers(0, 5000), st.integers(0, 5000))
def test_an_estimate_stays_one(line: Line, where: Parts, width: int, unseen: int) -> None:
    built_in = Estimate(total(where), total(where) + width + unseen, "counted", where)
    found = line.over(built_in, unseen)
    assert found.tokens == total(found.parts) == line.tokens(built_in.tokens)
    assert min(getattr(found.parts, field.name) for field in fields(Parts)) >= 0
    assert found.upper >= found.tokens + unseen
    assert found.method == "calibrated counted"


@given(lines, st.integers(1, 3000))
def test_stopping_early_is_stopping_late_enough(line: Line, limit: int) -> None:
    words = "weighed and found wanting " * 200
    whole = estimate(call(words), MODEL, load("o200k_base"), None, line)
    found = estimate(call(words), MODEL, load("o200k_base"), limit, line)
    if found.whole:
        assert found == whole
    else:
        assert found.tokens > limit


def test_what_cannot_be_seen_keeps_its_bound() -> None:
    picture = Call("openai-chat", "gpt-4o", (Message("user", (Media("image", url="https://x/y"),)),))
    plain = estimate(picture, MODEL, load("o200k_base"))
    tight = estimate(picture, MODEL, load("o200k_base"), None, Line(slack=0.0))
    assert plain.upper - plain.tokens > 1000 and tight.upper - tight.tokens >= 1000
    assert "not seen" in tight.method


def test_lines_are_found_by_provider_model_and_tools() -> None:
    known = Line(add=7)
    calibration = Calibration("", {Key("groq", "gpt-4o"): known})
    assert calibration.line("groq", call("x")) is known
    assert calibration.line("openai", call("x")) is None
    assert Calibration().line("groq", call("x")) is None


PNG = Media("image", "image/png", "QQ==")
SORTS = {
    "text": (Text("x"), False),
    "a picture": (PNG, True),
    "a picture a tool gave": (ToolResult((Text("x"), PNG)), True),
    "thoughts": (Thinking("hm"), False),
    "hidden thoughts": (Thinking(signature="s"), True),
    "a file elsewhere": (Unseen("file f"), True),
}


@pytest.mark.parametrize(("part", "media"), SORTS.values(), ids=SORTS)
def test_sorts_of_content(part: Any, media: bool) -> None:
    found = key_of("p", Call("openai-chat", "m", (Message("user", (part,)),), tools=(Tool("f"),)))
    assert found == Key("p", "m", tools=True, media=media)


@given(st.dictionaries(keys, lines))
def test_documents_are_read_as_written(found: dict[Any, Line]) -> None:
    calibration = Calibration("2026-11-22", found)
    assert read(json.loads(json.dumps(document(calibration, {"traffic": {"rows": 3}})))) == calibration


GOOD = {"provider": "p", "model": "m", "tools": False, "media": False, "rows": 3, "add": 1, "factor": 1.0, "slack": 1.0}
BAD: dict[str, tuple[Any, str]] = {
    "a list": ([], "weighbridge calibrate"),
    "another format": ({"format": "x"}, "weighbridge calibrate"),
    "no lines": ({"format": FORMAT}, "lines"),
    "a line": ({"format": FORMAT, "lines": [3]}, "lines[0]"),
    "no model": ({"format": FORMAT, "lines": [{**GOOD, "model": None}]}, "model"),
    "tools": ({"format": FORMAT, "lines": [{**GOOD, "tools": "yes"}]}, "tools"),
    "media": ({"format": FORMAT, "lines": [{**GOOD, "media": 1}]}, "media"),
    "a factor": ({"format": FORMAT, "lines": [{**GOOD, "factor": 0}]}, "lines[0].factor"),
    "a word": ({"format": FORMAT, "lines": [{**GOOD, "add": "1"}]}, "lines[0].add"),
    "true": ({"format": FORMAT, "lines": [{**GOOD, "add": True}]}, "lines[0].add"),
    "no number": ({"format": FORMAT, "lines": [{**GOOD, "slack": float("nan")}]}, "lines[0].slack"),
}


@pytest.mark.parametrize(("value", "words"), BAD.values(), ids=BAD)
def test_bad_documents(value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(value)
    assert words in str(error.value)
