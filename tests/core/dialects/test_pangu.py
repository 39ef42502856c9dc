"""Pangu: OpenAI's chat under another path, and a count route of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import estimate
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import Amendment
from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, RawCall, Reported
from weighbridge.tokenizers import load

PANGU = DIALECTS["pangu-chat"]
HELLO = [{"role": "user", "content": "Hello"}]


def counted(body: dict[str, Any]) -> Call:
    assert PANGU.parse_count is not None
    return PANGU.parse_count(RawCall("pangu-chat", json.dumps(body).encode(), model="d-1", counts=True))


def test_the_model_is_the_deployment() -> None:
    body = json.dumps({"messages": HELLO, "max_tokens": 9}).encode()
    call = PANGU.parse(RawCall("pangu-chat", body, model="d-1"))
    assert (call.dialect, call.model, call.max_output) == ("pangu-chat", "d-1", 9)


def test_texts_are_turns() -> None:
    call = counted({"data": ["a", "b", "c"], "with_prompt": True})
    assert [m.role for m in call.messages] == ["user", "assistant", "user"]
    assert counted({"messages": HELLO}).messages[0].role == "user"


def test_a_count_is_of_the_texts_alone() -> None:
    call = counted({"data": ["Hello"]})
    model = Catalogue({}).model(call.model, "pangu")
    weight = estimate(call, model, load("o200k_base"))
    assert (weight.tokens, weight.parts.frame) == (1, 0)
    assert PANGU.count_reply(weight.tokens) == {"tokens": [], "token_number": 1}


def test_the_documented_example_is_within_the_bound() -> None:
    call = counted({"data": ["Hello, please introduce Xi'an."], "with_prompt": True})
    weight = estimate(call, Catalogue({}).model(call.model, "pangu"), load("o200k_base"))
    assert weight.upper >= 6


BAD: dict[str, dict[str, Any]] = {
    "none": {},
    "even": {"data": ["a", "b"]},
    "empty": {"data": []},
    "a text": {"data": "a"},
    "a number": {"data": [1]},
    "a word": {"data": ["a"], "with_prompt": "yes"},
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_counts_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        counted(body)
    assert refused.value.reason == "malformed"


@pytest.mark.parametrize("named", [True, False], ids=["named in the body too", "named by the path"])
def test_amend(named: bool) -> None:
    body = json.dumps({"messages": HELLO, "max_tokens": 9, **({"model": "d-1"} if named else {})}).encode()
    call = PANGU.parse(RawCall("pangu-chat", body, model="d-1"))
    changed = json.loads(PANGU.amend(body, call, Amendment(max_output=5, model="d-2")))
    assert changed["max_tokens"] == 5 and changed.get("model") == ("d-2" if named else None)


def test_usage() -> None:
    call = PANGU.parse(RawCall("pangu-chat", json.dumps({"messages": HELLO}).encode(), model="d-1"))
    meter = PANGU.meter(call, {"content-type": "application/json"})
    meter.feed(b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}')
    ending = meter.ending()
    assert isinstance(ending, Reported) and (ending.usage.input, ending.usage.output) == (3, 2)
