"""OpenAI: `POST /v1/responses/input_tokens`.  Chat requests are asked as the Responses they would be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.core.dialects.body import compact, decode
from weighbridge.core.model import Call, Json, Media, RawCall
from weighbridge.counters.converted import converted
from weighbridge.counters.question import Api, Question, Uncountable, chosen, number

# As in the SDK's InputTokenCountParams (openai 2.54, November 2026).
MEMBERS = (
    *("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "conversation"),
    *("previous_response_id", "truncation", "parallel_tool_calls", "personality"),
)
CHAT_MORE = 2
CHAT_TOOLS_MORE = 96
"""What chat may bill above Responses for the same words: a token of the frame, and with tools a hidden
preamble (85 on the gpt-5 generation).  From recorded bills, November 2026."""


def question(raw: RawCall, call: Call) -> Question:
    """A Responses request as it is, a chat request converted."""
    body = decode(raw.body)
    if call.dialect == "openai-chat":
        return _chat(body, call)
    if body.get("prompt") is not None:
        raise Uncountable("stored prompts are not counted there")
    return _asked(body, lasting=body.get("conversation") is None)


def _chat(body: Mapping[str, Any], call: Call) -> Question:
    parts = [part for message in call.messages for part in message.parts]
    if any(isinstance(part, Media) and part.kind == "document" for part in parts):
        # Some 215 tokens a page against 38 (recorded bills, November 2026).
        raise Uncountable("chat bills documents otherwise than Responses, which is what is counted there")
    # Responses has no names on messages; no name has more tokens than characters.
    names = sum(len(message.name) + 1 for message in call.messages if message.name)
    return _asked(converted(body), more=names + (CHAT_TOOLS_MORE if call.tools else CHAT_MORE))


def _asked(body: Mapping[str, Any], *, lasting: bool = True, more: int = 0) -> Question:
    asked = chosen(body, MEMBERS)
    if isinstance(text := asked.get("text"), dict):
        asked["text"] = chosen(text, ("format", "verbosity"))
    return Question("/v1/responses/input_tokens", compact(asked).encode(), lasting=lasting, more=more)


def tokens(document: Json) -> int:
    """`{"object": "response.input_tokens", "input_tokens": 14}`."""
    return number(document, "input_tokens")


API = Api(
    name="openai",
    method="openai input_tokens",
    dialects=frozenset({"openai-chat", "openai-responses"}),
    key=("authorization", "Bearer {}"),
    question=question,
    tokens=tokens,
)
