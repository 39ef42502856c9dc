"""OpenAI completions (the older, plain-prompt ones)."""

from __future__ import annotations

from collections.abc import Mapping

from weighbridge.core.dialects import openai_answer, openai_closing, openai_refusal
from weighbridge.core.dialects.answer import Reader, keys, meter
from weighbridge.core.dialects.base import Amendment, Dialect, Meter
from weighbridge.core.dialects.body import decode, model_of, positive_int, want
from weighbridge.core.dialects.openai_prompts import prompts
from weighbridge.core.dialects.splice import Changes, splice
from weighbridge.core.model import Call, Message, RawCall, Text


def parse(raw: RawCall) -> Call:
    """A completions request.  Raises Refused("malformed")."""
    body = decode(raw.body)
    # Without a prompt the model goes on from an end-of-text mark.
    asked = prompts("" if body.get("prompt") is None else body["prompt"], "prompt")
    suffix = want(body, "suffix", str, "")
    stream = want(body, "stream", bool, False)
    usage = want(want(body, "stream_options", dict, {}), "include_usage", bool, False, "stream_options.")
    return Call(
        dialect=raw.dialect,
        model=model_of(body, raw.model),
        messages=(*asked.messages, *([Message("user", (Text(suffix),))] if suffix else [])),
        max_output=positive_int(body, "max_tokens"),
        choices=asked.inputs * max(positive_int(body, "n") or 1, positive_int(body, "best_of") or 1),
        stream=stream,
        wants_usage=usage or not stream,
        tier=openai_answer.tier(want(body, "service_tier", str, "")),
        inputs=asked.inputs,
        extra={"prompt_tokens": asked.tokens} if asked.tokens else {},
    )


def amend(body: bytes, call: Call, change: Amendment) -> bytes:
    """The body with the amendment made in place.  A prompt has no turns to drop."""
    changes: Changes = {}
    if change.max_output is not None:
        changes["max_tokens"] = change.max_output
    if change.model is not None:
        changes["model"] = change.model
    if change.ask_usage:
        changes["stream_options", "include_usage"] = True
    return splice(body, changes)


READER = Reader(
    usage=openai_answer.usage,
    written=keys("text"),
    streamed=keys("text"),
    final=openai_answer.at_the_end,
    extra=openai_answer.without_choices,
)


def watch(call: Call, headers: Mapping[str, str]) -> Meter:
    """A meter; it withholds the usage chunk the client did not ask for."""
    return meter(READER, headers, withhold=call.stream and not call.wants_usage, stream=call.stream)


DIALECT = Dialect(
    name="openai-completions",
    parse=parse,
    usage=openai_answer.usage,
    meter=watch,
    amend=amend,
    closing=openai_closing.completions,
    refusal=openai_refusal.refusal,
    count_reply=openai_refusal.count_reply,
)
