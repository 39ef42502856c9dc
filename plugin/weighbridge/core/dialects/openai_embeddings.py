"""OpenAI embeddings: tokens in, nothing generated."""

from __future__ import annotations

from collections.abc import Mapping

from weighbridge.core.dialects import openai_answer, openai_refusal
from weighbridge.core.dialects.answer import NOTHING, Reader, meter
from weighbridge.core.dialects.base import Amendment, Dialect, Meter
from weighbridge.core.dialects.body import decode, malformed, model_of
from weighbridge.core.dialects.openai_prompts import prompts
from weighbridge.core.dialects.splice import splice
from weighbridge.core.model import Call, RawCall


def parse(raw: RawCall) -> Call:
    """An embeddings request.  Raises Refused("malformed")."""
    body = decode(raw.body)
    if body.get("input") is None:
        malformed("Missing required parameter: 'input'. Give a string or an array.", "input")
    asked = prompts(body["input"], "input")
    return Call(
        dialect=raw.dialect,
        model=model_of(body, raw.model),
        messages=asked.messages,
        inputs=asked.inputs,
        generates=False,
        extra={"prompt_tokens": asked.tokens} if asked.tokens else {},
    )


def amend(body: bytes, call: Call, change: Amendment) -> bytes:
    """The body with another model; there is nothing else a decision could change."""
    return body if change.model is None else splice(body, {"model": change.model})


READER = Reader(usage=openai_answer.usage, written=NOTHING, streamed=NOTHING)


def watch(call: Call, headers: Mapping[str, str]) -> Meter:
    """A meter for an answer."""
    return meter(READER, headers)


DIALECT = Dialect(
    name="openai-embeddings",
    parse=parse,
    usage=openai_answer.usage,
    meter=watch,
    amend=amend,
    refusal=openai_refusal.refusal,
    count_reply=openai_refusal.count_reply,
)
