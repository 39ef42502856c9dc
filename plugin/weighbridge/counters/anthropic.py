"""Anthropic: `POST /v1/messages/count_tokens`.

Plain HTTP rather than the SDK: a request goes on as it came (beta members included, which the SDK's
types may not know), nothing but bytes is needed to test it, and the SDK's import costs a second.
"""

from __future__ import annotations

from weighbridge.core.dialects.body import compact, decode
from weighbridge.core.model import Call, Json, RawCall
from weighbridge.counters.question import Api, Question, chosen, number

VERSION = "2023-06-01"
KEPT = ("anthropic-version", "anthropic-beta")
"""Headers of the client that change what a request means."""

# As in the SDK's MessageCountTokensParams, beta ones included (anthropic 2.12, November 2026).
MEMBERS = (
    *("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "output_format"),
    *("cache_control", "context_management", "compaction", "speed", "prefill"),
)


def question(raw: RawCall, call: Call) -> Question:
    """The request's own members, those that have to do with the prompt."""
    body = decode(raw.body)
    headers = {"anthropic-version": VERSION} | {name: raw.headers[name] for name in KEPT if raw.headers.get(name)}
    return Question("/v1/messages/count_tokens", compact(chosen(body, MEMBERS)).encode(), headers)


def tokens(document: Json) -> int:
    """`{"input_tokens": 14}`."""
    return number(document, "input_tokens")


API = Api(
    name="anthropic",
    method="anthropic count_tokens",
    dialects=frozenset({"anthropic-messages"}),
    key=("x-api-key", "{}"),
    question=question,
    tokens=tokens,
)
