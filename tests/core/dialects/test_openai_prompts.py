"""Completions and embeddings: the formats without a conversation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.base import Amendment
from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, Message, RawCall, Reported, Text, Usage

COMPLETIONS, EMBEDDINGS = DIALECTS["openai-completions"], DIALECTS["openai-embeddings"]


def complete(**members: Any) -> Call:
    """A completions request with these members beside a model."""
    return COMPLETIONS.parse(RawCall("openai-completions", json.dumps({"model": "m", **members}).encode()))


def embed(**members: Any) -> Call:
    """An embeddings request with these members beside a model."""
    return EMBEDDINGS.parse(RawCall("openai-embeddings", json.dumps({"model": "m", **members}).encode()))


PROMPTS: list[Any] = [
    pytest.param("a", ("a",), 1, {}, id="text"),
    pytest.param(["a", "b"], ("a", "b"), 2, {}, id="texts"),
    pytest.param([1, 2, 3], (), 1, {"prompt_tokens": 3}, id="token ids"),
    pytest.param([[1, 2], [3]], (), 2, {"prompt_tokens": 3}, id="lists of token ids"),
    pytest.param(["a", [1]], ("a",), 2, {"prompt_tokens": 1}, id="both"),
]


@pytest.mark.parametrize(("value", "texts", "inputs", "extra"), PROMPTS)
def test_prompts_of_every_shape(value: Any, texts: tuple[str, ...], inputs: int, extra: dict[str, int]) -> None:
    messages = (Message("user", tuple(map(Text, texts))),) if texts else ()
    assert complete(prompt=value) == Call(
        "openai-completions", "m", messages, choices=inputs, inputs=inputs, extra=extra
    )  # fmt: skip
    assert embed(input=value) == Call(
        "openai-embeddings", "m", messages, inputs=inputs, generates=False, extra=extra
    )  # fmt: skip


BAD = [5, {}, [], [[]], [1, "a"], [True], [1.5], [-1], ["a", None], [["a"]]]


@pytest.mark.parametrize("value", BAD, ids=str)
def test_other_prompts_are_refused(value: object) -> None:
    for read in (lambda: complete(prompt=value), lambda: embed(input=value)):
        with pytest.raises(Refused) as caught:
            read()
        assert caught.value.reason == "malformed"


def test_completions_settings() -> None:
    call = complete(prompt=["a", "b"], n=2, best_of=3, max_tokens=9, suffix="z", stream=True, service_tier="flex")
    assert (call.choices, call.inputs, call.max_output, call.tier) == (6, 2, 9, "flex")
    assert (call.stream, call.wants_usage) == (True, False)
    assert call.messages[-1] == Message("user", (Text("z"),))
    assert complete().inputs == 1
    with pytest.raises(Refused):
        embed()


def test_amendments() -> None:
    body = b'{"model":"m", "max_tokens":9}'
    change = Amendment(max_output=5, model="n", ask_usage=True)
    amended = COMPLETIONS.amend(body, complete(), change)
    assert amended == b'{"stream_options":{"include_usage":true},"model":"n", "max_tokens":5}'
    assert EMBEDDINGS.amend(body, embed(input="a"), change) == b'{"model":"n", "max_tokens":9}'
    assert EMBEDDINGS.amend(body, embed(input="a"), Amendment()) == body


def test_answers() -> None:
    meter = EMBEDDINGS.meter(embed(input="a"), {"content-type": "application/json"})
    meter.feed(b'{"data":[{"embedding":"AAAA"}],"usage":{"prompt_tokens":5,"total_tokens":5}}')
    assert meter.ending() == Reported(Usage(5))
    assert EMBEDDINGS.usage({"usage": {"total_tokens": 3}}) == Usage(3)
    meter = COMPLETIONS.meter(complete(stream=True), {"content-type": "text/event-stream"})
    text, usage = (
        b'data: {"choices":[{"text":"a"}],"usage":null}\n\n',
        b'data: {"choices":[],"usage":{"prompt_tokens":5}}\n\n',
    )
    assert meter.feed(text + usage) == text
    assert meter.ending("gone") == Reported(Usage(5))
    assert COMPLETIONS.count_reply(3) == {"input_tokens": 3}
