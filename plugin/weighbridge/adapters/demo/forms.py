"""The stand-in's answers in each provider's own form, whole and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, whatever the form."""

    model: str
    words: tuple[str, ...]
    """The text in pieces; empty where a tool is called."""
    tool: str | None
    arguments: Mapping[str, str]
    prompt_tokens: int
    output_tokens: int
    cut: bool
    """The answer was longer than it was allowed to be."""

    @property
    def text(self) -> str:
        """The text in one."""
        return "".join(self.words)


def _sse(events: Iterable[Json], *, named: bool = False, done: bool = False) -> Iterator[bytes]:
    for event in events:
        name = f"event: {event['type']}\n" if named else ""
        yield f"{name}data: {json.dumps(event)}\n\n".encode()
    if done:
        yield b"data: [DONE]\n\n"


def _chat_reason(answer: Answer) -> str:
    return "tool_calls" if answer.tool else "length" if answer.cut else "stop"


def _chat_call(answer: Answer) -> Json:
    function = {"name": answer.tool, "arguments": json.dumps(answer.arguments)}
    return {"index": 0, "id": "call_1", "type": "function", "function": function}


def _chat_usage(answer: Answer) -> Json:
    total = answer.prompt_tokens + answer.output_tokens
    return {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.output_tokens, "total_tokens": total}


def chat(answer: Answer) -> Json:
    """A chat completion."""
    message: Json = {"role": "assistant", "content": None if answer.tool else answer.text}
    if answer.tool:
        message["tool_calls"] = [_chat_call(answer)]
    choice = {"index": 0, "message": message, "finish_reason": _chat_reason(answer)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": answer.model}
    return {**head, "choices": [choice], "usage": _chat_usage(answer)}


def chat_stream(answer: Answer, usage: bool) -> Iterator[bytes]:
    """A chat completion in chunks; the usage only where it was asked for."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": answer.model}
    deltas: list[Json] = [{"role": "assistant", "content": word} for word in answer.words]
    if answer.tool:
        deltas = [{"role": "assistant", "tool_calls": [_chat_call(answer)]}]
    chunks: list[Json] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    last: Json = {"choices": [{"index": 0, "delta": {}, "finish_reason": _chat_reason(answer)}]}
    told: list[Json] = [{"choices": [], "usage": _chat_usage(answer)}] if usage else []
    return _sse(({**head, **chunk} for chunk in (*chunks, last, *told)), done=True)


def responses(answer: Answer) -> Json:
    """A response."""
    text = {"type": "output_text", "text": answer.text, "annotations": []}
    item: Json = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    if answer.tool:
        arguments = json.dumps(answer.arguments)
        item = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": answer.tool, "arguments": arguments}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "incomplete" if answer.cut else "completed",
        "model": answer.model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + answer.output_tokens,
        },
    }


def responses_stream(answer: Answer, usage: bool) -> Iterator[bytes]:
    """A response, event by event."""
    whole = responses(answer)
    item = whole["output"][0]
    begun = {**item, "content": []} if "content" in item else item
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": []}
    events: list[Json] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": begun},
    ]
    if answer.words:
        events.append({"type": "response.content_part.added", **place, "part": empty})
        events += [{"type": "response.output_text.delta", **place, "delta": word} for word in answer.words]
    events.append({"type": "response.output_item.done", "output_index": 0, "item": item})
    events.append({"type": f"response.{whole['status']}", "response": whole})
    return _sse(({**event, "sequence_number": i} for i, event in enumerate(events)), named=True)


def messages(answer: Answer) -> Json:
    """A message."""
    block: Json = {"type": "text", "text": answer.text}
    if answer.tool:
        block = {"type": "tool_use", "id": "toolu_1", "name": answer.tool, "input": dict(answer.arguments)}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [block],
        "stop_reason": "tool_use" if answer.tool else "max_tokens" if answer.cut else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": answer.prompt_tokens, "output_tokens": answer.output_tokens},
    }


def messages_stream(answer: Answer, usage: bool) -> Iterator[bytes]:
    """A message, event by event."""
    whole = messages(answer)
    block = whole["content"][0]
    blank = {**block, "input": {}} if answer.tool else {**block, "text": ""}
    deltas: list[Json] = [{"type": "text_delta", "text": word} for word in answer.words]
    if answer.tool:
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(answer.arguments)}]
    used = {"input_tokens": answer.prompt_tokens, "output_tokens": 1}
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return _sse(
        (
            {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": used}},
            {"type": "content_block_start", "index": 0, "content_block": blank},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": answer.output_tokens}},
            {"type": "message_stop"},
        ),
        named=True,
    )


def _candidate(answer: Answer, part: Json, last: bool) -> Json:
    candidate: Json = {"content": {"parts": [part], "role": "model"}, "index": 0}
    used = {"promptTokenCount": answer.prompt_tokens, "totalTokenCount": answer.prompt_tokens}
    if last:
        candidate["finishReason"] = "MAX_TOKENS" if answer.cut else "STOP"
        used["candidatesTokenCount"] = answer.output_tokens
        used["totalTokenCount"] += answer.output_tokens
    return {"candidates": [candidate], "usageMetadata": used, "modelVersion": answer.model}


def gemini(answer: Answer) -> Json:
    """A generated content."""
    call = {"functionCall": {"name": answer.tool, "args": dict(answer.arguments)}}
    return _candidate(answer, call if answer.tool else {"text": answer.text}, last=True)


def gemini_stream(answer: Answer, usage: bool) -> Iterator[bytes]:
    """A generated content, piece by piece."""
    if answer.tool:
        return _sse([gemini(answer)])
    pieces = [_candidate(answer, {"text": word}, last=False) for word in answer.words[:-1]]
    return _sse([*pieces, _candidate(answer, {"text": answer.words[-1]}, last=True)])


FORMS: Final[Mapping[str, tuple[Callable[[Answer], Json], Callable[[Answer, bool], Iterator[bytes]]]]] = {
    "openai-chat": (chat, chat_stream),
    "openai-responses": (responses, responses_stream),
    "anthropic-messages": (messages, messages_stream),
    "gemini-generate": (gemini, gemini_stream),
}
"""Dialect -> (its answer in one, its answer as a stream)."""
