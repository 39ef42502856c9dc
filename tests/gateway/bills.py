"""What providers bill for, one kind of usage a row: what the answer says, and what the invoice will say.

The invoice is made up from the price table's own fields, by hand, and knows nothing of how weighbridge reads usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

from gateway.provider import json_array, sse
from gateway.upstream import Answer
from weighbridge.modeltable import rows

SAY: Any = [{"role": "user", "content": "Weigh."}]
IN, OUT = "input_cost_per_token", "output_cost_per_token"
READ, WRITE = "cache_read_input_token_cost", "cache_creation_input_token_cost"
HEARD = "input_cost_per_audio_token"
HOUR = "cache_creation_input_token_cost_above_1hr"
LONG = "_above_200k_tokens"
Json = Any


def invoice(model: str, lines: Mapping[str, int], searches: int = 0) -> int:
    """Nano-dollars of so many tokens at each of the price table's rates."""
    row = rows()[model]
    total = sum((Decimal(repr(row[rate])) * tokens for rate, tokens in lines.items()), Decimal())
    fees = row.get("search_context_cost_per_query", {}).get("search_context_size_medium", 0)
    total += Decimal(repr(fees)) * searches
    return int((total * 10**9).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of usage."""

    name: str
    dialect: str
    model: str
    usage: Mapping[str, Json]
    lines: Mapping[str, int]
    """The invoice: rate of the price table -> tokens."""
    tokens: tuple[int, int]
    """(input, output) as the journal has them."""
    body: Mapping[str, Json] = field(default_factory=dict)
    """More of the request."""
    answer: Mapping[str, Json] = field(default_factory=dict)
    """More of the answer."""
    searches: int = 0


def _chat(name: str, usage: Any, lines: Any, tokens: tuple[int, int], model: str = "gpt-4o-mini", **more: Any) -> Kind:
    return Kind(name, "openai-chat", model, usage, lines, tokens, **more)


def _io(name: str, usage: Any, lines: Any, tokens: tuple[int, int], model: str = "gpt-5-mini", **more: Any) -> Kind:
    return Kind(name, "openai-responses", model, usage, lines, tokens, **more)


def _claude(name: str, usage: Any, lines: Any, model: str = "claude-sonnet-4-5", **more: Any) -> Kind:
    prompt = sum(n for key, n in usage.items() if key.endswith("input_tokens"))
    return Kind(name, "anthropic-messages", model, usage, lines, (prompt, usage["output_tokens"]), **more)


def _gemini(
    name: str, usage: Any, lines: Any, tokens: tuple[int, int], model: str = "gemini-2.5-flash", **more: Any
) -> Kind:
    return Kind(name, "gemini-generate", model, usage, lines, tokens, **more)


def _used(prompt: int, output: int, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output, **details}


CHAT_TOOL = {"type": "function", "function": {"name": "weigh", "parameters": {"type": "object"}}}
CALLED = {"id": "c", "type": "function", "function": {"name": "weigh", "arguments": "{}"}}
LOOP = [
    *SAY,
    {"role": "assistant", "tool_calls": [CALLED]},
    {"role": "tool", "tool_call_id": "c", "content": "7 t"},
]
GROUNDED = {"groundingMetadata": {"webSearchQueries": ["lorry", "weight"]}}

HEARD_AND_SAID = _used(
    60, 40, prompt_tokens_details={"audio_tokens": 50}, completion_tokens_details={"audio_tokens": 30}
)
MIXED = [{"modality": "AUDIO", "tokenCount": 50}, {"modality": "TEXT", "tokenCount": 10}]

KINDS = (
    _chat("plain", _used(100, 20), {IN: 100, OUT: 20}, (100, 20)),
    _chat("zero", _used(0, 0), {}, (0, 0)),
    _chat("cached", _used(1000, 20, prompt_tokens_details={"cached_tokens": 900}), {IN: 100, READ: 900, OUT: 20},
          (1000, 20)),
    _chat("reasoning", _used(100, 500, completion_tokens_details={"reasoning_tokens": 480}), {IN: 100, OUT: 500},
          (100, 500), "o4-mini"),
    _chat("sound", HEARD_AND_SAID,
          {IN: 10, HEARD: 50, OUT: 10, "output_cost_per_audio_token": 30}, (60, 40), "gpt-audio-mini",
          body={"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "pcm16"}}),
    _chat("three choices", _used(100, 60), {IN: 100, OUT: 60}, (100, 60), body={"n": 3}),
    _chat("tool loop", _used(150, 12), {IN: 150, OUT: 12}, (150, 12), body={"messages": LOOP, "tools": [CHAT_TOOL]}),
    _chat("flex", _used(100, 20), {f"{IN}_flex": 100, f"{OUT}_flex": 20}, (100, 20), "gpt-5-mini",
          body={"service_tier": "flex"}, answer={"service_tier": "flex"}),
    _chat("priority, cached", _used(1000, 20, prompt_tokens_details={"cached_tokens": 900}),
          {f"{IN}_priority": 100, f"{READ}_priority": 900, f"{OUT}_priority": 20}, (1000, 20), "gpt-5-mini",
          body={"service_tier": "priority"}, answer={"service_tier": "priority"}),
    _chat("priority asked, standard served", _used(100, 20), {IN: 100, OUT: 20}, (100, 20), "gpt-5-mini",
          body={"service_tier": "priority"}, answer={"service_tier": "default"}),
    _chat("long context", _used(300_000, 20), {f"{IN}_above_272k_tokens": 300_000, f"{OUT}_above_272k_tokens": 20},
          (300_000, 20), "gpt-5.4"),
    _chat("search", _used(100, 20), {IN: 100, OUT: 20}, (100, 20), "gpt-4o-mini-search-preview",
          body={"web_search_options": {}}, answer={"model": "gpt-4o-mini-search-preview-2025-03-11"}, searches=1),
    _io("plain", {"input_tokens": 100, "output_tokens": 20}, {IN: 100, OUT: 20}, (100, 20)),
    _io("zero", {"input_tokens": 0, "output_tokens": 0}, {}, (0, 0)),
    _io("cached and reasoned",
        {"input_tokens": 1000, "output_tokens": 500, "input_tokens_details": {"cached_tokens": 900},
         "output_tokens_details": {"reasoning_tokens": 480}}, {IN: 100, READ: 900, OUT: 500}, (1000, 500)),
    _io("flex", {"input_tokens": 100, "output_tokens": 20}, {f"{IN}_flex": 100, f"{OUT}_flex": 20}, (100, 20),
        body={"service_tier": "flex"}, answer={"service_tier": "flex"}),
    _io("two searches", {"input_tokens": 100, "output_tokens": 20}, {IN: 100, OUT: 20}, (100, 20),
        body={"tools": [{"type": "web_search"}]}, searches=2,
        answer={"output": [{"type": "web_search_call", "id": f"ws_{i}", "status": "completed"} for i in (1, 2)]}),
    _claude("plain", {"input_tokens": 100, "output_tokens": 20}, {IN: 100, OUT: 20}),
    _claude("zero", {"input_tokens": 0, "output_tokens": 0}, {}),
    _claude("cache read", {"input_tokens": 100, "cache_read_input_tokens": 900, "output_tokens": 20},
            {IN: 100, READ: 900, OUT: 20}),
    _claude("cached for five minutes", {"input_tokens": 100, "cache_creation_input_tokens": 900, "output_tokens": 20},
            {IN: 100, WRITE: 900, OUT: 20}),
    _claude("cached for an hour and for less",
            {"input_tokens": 100, "cache_creation_input_tokens": 900, "output_tokens": 20,
             "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 600}},
            {IN: 100, WRITE: 300, HOUR: 600, OUT: 20}),
    _claude("thinking", {"input_tokens": 100, "output_tokens": 2000}, {IN: 100, OUT: 2000},
            body={"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}),
    _claude("three searches",
            {"input_tokens": 100, "output_tokens": 20, "server_tool_use": {"web_search_requests": 3}},
            {IN: 100, OUT: 20}, body={"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, searches=3),
    _gemini("plain", {"promptTokenCount": 100, "candidatesTokenCount": 20}, {IN: 100, OUT: 20}, (100, 20)),
    _gemini("zero", {"promptTokenCount": 0, "candidatesTokenCount": 0}, {}, (0, 0)),
    _gemini("thoughts", {"promptTokenCount": 100, "candidatesTokenCount": 20, "thoughtsTokenCount": 480},
            {IN: 100, OUT: 20, "output_cost_per_reasoning_token": 480}, (100, 500)),
    _gemini("cached", {"promptTokenCount": 1000, "candidatesTokenCount": 20, "cachedContentTokenCount": 900},
            {IN: 100, READ: 900, OUT: 20}, (1000, 20)),
    _gemini("sound", {"promptTokenCount": 60, "candidatesTokenCount": 20, "promptTokensDetails": MIXED},
            {IN: 10, HEARD: 50, OUT: 20}, (60, 20)),
    _gemini("tool use prompt", {"promptTokenCount": 100, "toolUsePromptTokenCount": 70, "candidatesTokenCount": 20},
            {IN: 170, OUT: 20}, (100, 20)),
    _gemini("long context", {"promptTokenCount": 250_000, "candidatesTokenCount": 20},
            {IN + LONG: 250_000, OUT + LONG: 20}, (250_000, 20), "gemini-2.5-pro"),
    _gemini("two candidates", {"promptTokenCount": 100, "candidatesTokenCount": 40}, {IN: 100, OUT: 40}, (100, 40),
            body={"generationConfig": {"candidateCount": 2}}),
    _gemini("grounded in a search", {"promptTokenCount": 100, "candidatesTokenCount": 20}, {IN: 100, OUT: 20},
            (100, 20),
            body={"tools": [{"googleSearch": {}}]}, answer=GROUNDED, searches=1),
    _gemini("priority", {"promptTokenCount": 100, "candidatesTokenCount": 20, "trafficType": "ON_DEMAND_PRIORITY"},
            {f"{IN}_priority": 100, f"{OUT}_priority": 20}, (100, 20)),
)  # fmt: skip


def asked(kind: Kind, stream: str) -> tuple[str, dict[str, Json]]:
    """(path, body) of a request for it; `stream`: "", "sse" or "array"."""
    if kind.dialect == "gemini-generate":
        method = "streamGenerateContent" if stream else "generateContent"
        query = "?alt=sse" if stream == "sse" else ""
        return f"/v1beta/models/{kind.model}:{method}{query}", {
            "contents": [{"parts": [{"text": "Weigh."}]}],
            **kind.body,
        }
    flag = {"stream": True} if stream else {}
    if kind.dialect == "openai-responses":
        return "/v1/responses", {"model": kind.model, "input": "Weigh.", **flag, **kind.body}
    if kind.dialect == "anthropic-messages":
        return "/v1/messages", {"model": kind.model, "messages": SAY, "max_tokens": 100, **flag, **kind.body}
    return "/v1/chat/completions", {"model": kind.model, "messages": SAY, **flag, **kind.body}


def answered(kind: Kind, stream: str) -> Answer:
    """The provider's answer that bills it."""
    return {
        "openai-chat": _chat_answer,
        "openai-responses": _responses_answer,
        "anthropic-messages": _claude_answer,
        "gemini-generate": _gemini_answer,
    }[kind.dialect](kind, stream)


def _chat_answer(kind: Kind, stream: str) -> Answer:
    head = {"id": "c", "created": 1, "model": kind.model, **kind.answer}
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", "content": "7 t"}, "finish_reason": "stop"}
        return Answer.json({**head, "object": "chat.completion", "choices": [choice], "usage": kind.usage})
    words = [{**head, "choices": [{"index": i, "delta": {"content": "7 t"}}]} for i in range(kind.body.get("n", 1))]
    ends = [{**head, "choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in range(len(words))]
    return Answer.stream(*sse(*words, *ends, {**head, "choices": [], "usage": kind.usage}, done=True))


def _responses_answer(kind: Kind, stream: str) -> Answer:
    response = {"id": "r", "object": "response", "status": "completed", "model": kind.model, "output": [],
                **kind.answer, "usage": kind.usage}  # fmt: skip
    if not stream:
        return Answer.json(response)
    begun = {"type": "response.created", "response": {**response, "status": "in_progress", "usage": None}}
    word = {"type": "response.output_text.delta", "item_id": "m", "delta": "7 t"}
    return Answer.stream(*sse(begun, word, {"type": "response.completed", "response": response}, named=True))


def _claude_answer(kind: Kind, stream: str) -> Answer:
    message = {"id": "m", "type": "message", "role": "assistant", "model": kind.model, "stop_reason": "end_turn",
               "content": [{"type": "text", "text": "7 t"}], "usage": kind.usage}  # fmt: skip
    if not stream:
        return Answer.json(message)
    start = {**message, "content": [], "usage": {**kind.usage, "output_tokens": min(1, kind.usage["output_tokens"])}}
    late = {key: kind.usage[key] for key in ("output_tokens", "server_tool_use") if key in kind.usage}
    return Answer.stream(
        *sse(
            {"type": "message_start", "message": start},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "7 t"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": late},
            {"type": "message_stop"},
            named=True,
        )
    )


def _gemini_answer(kind: Kind, stream: str) -> Answer:
    count = kind.body.get("generationConfig", {}).get("candidateCount", 1)
    content = {"role": "model", "parts": [{"text": "7 t"}]}
    ends = [{"content": content, "index": i, "finishReason": "STOP", **kind.answer} for i in range(count)]
    whole = {"candidates": ends, "usageMetadata": kind.usage, "modelVersion": kind.model}
    if not stream:
        return Answer.json(whole)
    early = {"promptTokenCount": min(1, kind.usage["promptTokenCount"])}
    first = {"candidates": [{"content": content, "index": 0}], "usageMetadata": early}
    if stream == "sse":
        return Answer.stream(*sse(first, whole))
    return Answer.stream(*json_array(first, whole), headers={"content-type": "application/json"})
