"""OpenAI responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weighbridge.core.dialects import openai_answer, openai_closing, openai_items, openai_refusal, openai_tools
from weighbridge.core.dialects.answer import Reader, keys, meter
from weighbridge.core.dialects.base import Amendment, Dialect, Meter
from weighbridge.core.dialects.body import decode, model_of, positive_int, want
from weighbridge.core.dialects.splice import Changes, keep_items, splice
from weighbridge.core.dialects.turns import kept
from weighbridge.core.model import Call, Json, Message, Part, RawCall, Text, Tool, Unseen

LEAST_OUTPUT = 16
"""The smallest `max_output_tokens` the provider takes."""
REMEMBERED = ("previous_response_id", "conversation", "prompt")
"""Members that bring content into the prompt which is not in the body."""


def parse(raw: RawCall) -> Call:
    """A responses request.  Raises Refused("malformed")."""
    body = decode(raw.body)
    reasoning = want(body, "reasoning", dict, {})
    form = want(want(body, "text", dict, {}), "format", dict, {}, "text.")
    return Call(
        dialect=raw.dialect,
        model=_model(raw, body),
        messages=(*_before(body), *openai_items.messages(body.get("input"))),
        tools=(*openai_tools.tools(body), *_later_tools(body)),
        tool_choice=openai_tools.choice(body.get("tool_choice")),
        schema=openai_tools.schema(form, "text.format."),
        max_output=positive_int(body, "max_output_tokens"),
        least_output=LEAST_OUTPUT,
        stream=want(body, "stream", bool, False),
        tier=openai_answer.tier(want(body, "service_tier", str, "")),
        caches="5m",
        extra=_extra(body, reasoning, form),
    )


def _model(raw: RawCall, body: Mapping[str, Any]) -> str:
    # A stored prompt may bring its own model.
    stored = body.get("prompt") is not None and body.get("model") is None
    return raw.model or "" if stored else model_of(body, raw.model)


def _before(body: Mapping[str, Any]) -> Iterator[Message]:
    """Instructions, and what is remembered at the provider."""
    instructions = want(body, "instructions", str, None)
    if instructions is not None:
        # Empty ones are not the same as none: the provider writes its own instead.
        yield Message("system", (Text(instructions),))
    unseen: tuple[Part, ...] = tuple(
        Unseen(f"{key} {_name(body[key])}") for key in REMEMBERED if body.get(key) is not None
    )
    if unseen:
        yield Message("user", unseen)


def _name(value: Json) -> str:
    return str(value.get("id", "") if isinstance(value, dict) else value)[:100]


def _later_tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    """Tools that came up during the conversation."""
    items = body.get("input")
    found: list[Tool] = []
    for i, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict) and item.get("type") in openai_items.BRINGS_TOOLS:
            found += openai_tools.tools(item, where=f"input[{i}].")
    return tuple(found)


def _extra(body: Mapping[str, Any], reasoning: Mapping[str, Any], form: Mapping[str, Any]) -> dict[str, Any]:
    effort = want(reasoning, "effort", str, "", "reasoning.")
    told: dict[str, Any] = {
        "reasoning_effort": effort,
        "response_format": "json_object" if form.get("type") == "json_object" else "",
        "background": want(body, "background", bool, False),
        "kept_calls": openai_items.kept_calls(body.get("input")),
    }
    return {key: value for key, value in told.items() if value}


def amend(body: bytes, call: Call, change: Amendment) -> bytes:
    """The body with the amendment made in place.  Usage needs no asking for."""
    changes: Changes = {}
    if change.max_output is not None:
        changes["max_output_tokens"] = change.max_output
    if change.model is not None:
        changes["model"] = change.model
    sent = decode(body).get("input") if change.drop_turns else None
    if isinstance(sent, list):
        # One message is read from each item, in order, behind those that are not items.
        roles = [message.role for message in call.messages[-len(sent) :]]
        body = keep_items(body, "input", kept(roles, change.drop_turns))
    return splice(body, changes)


READER = Reader(
    usage=openai_answer.usage,
    written=keys("text", "arguments", "input", "code", "refusal"),
    streamed=keys("delta"),
)


def watch(call: Call, headers: Mapping[str, str]) -> Meter:
    """A meter for an answer."""
    return meter(READER, headers, stream=call.stream)


def count_reply(tokens: int) -> Json:
    """The answer of `/v1/responses/input_tokens`."""
    return {"object": "response.input_tokens", "input_tokens": tokens}


DIALECT = Dialect(
    name="openai-responses",
    parse=parse,
    usage=openai_answer.usage,
    meter=watch,
    amend=amend,
    closing=openai_closing.Responses,
    refusal=openai_refusal.refusal,
    count_reply=count_reply,
)
