"""A well-behaved provider: short answers of our own, in every wire format the gateway forwards.

What it bills is fixed, so tests know what the ledger must say: `PROMPT` and `ANSWER` tokens a request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from gateway.upstream import Answer, Seen

PROMPT = 11
ANSWER = 7
WORDS = ("The", " lorry", " weighs", " 7", " t.")
TEXT = "".join(WORDS)
TOOL = {"name": "weigh", "arguments": '{"lorry":"ZH 1"}'}

CHAT_USAGE = {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": PROMPT + ANSWER}
IO_USAGE = {"input_tokens": PROMPT, "output_tokens": ANSWER}
GEMINI_USAGE = {"promptTokenCount": PROMPT, "candidatesTokenCount": ANSWER, "totalTokenCount": PROMPT + ANSWER}


def sse(*events: Any, named: bool = False, done: bool = False) -> tuple[bytes, ...]:
    """Events as server-sent events, one chunk each."""
    chunks = []
    for event in events:
        head = f"event: {event['type']}\n" if named else ""
        chunks.append(f"{head}data: {json.dumps(event)}\n\n".encode())
    return (*chunks, *([b"data: [DONE]\n\n"] if done else []))


def chat(seen: Seen) -> Answer:
    """`/v1/chat/completions`."""
    asked = seen.json()
    head = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
    if asked.get("stream"):
        return Answer.stream(*sse(*_chat_chunks(head, asked), done=True))
    call = {"id": "call_1", "type": "function", "function": TOOL}
    message: dict[str, Any] = {"role": "assistant", "content": None if asked.get("tools") else TEXT}
    message |= {"tool_calls": [call]} if asked.get("tools") else {}
    reason = "tool_calls" if asked.get("tools") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return Answer.json({**head, "object": "chat.completion", "choices": [choice], "usage": CHAT_USAGE})


def _chat_chunks(head: dict[str, Any], asked: dict[str, Any]) -> Iterable[dict[str, Any]]:
    head = {**head, "object": "chat.completion.chunk"}
    if asked.get("tools"):
        call = {"index": 0, "id": "call_1", "type": "function", "function": TOOL}
        deltas: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [call]}]
    else:
        deltas = [{"role": "assistant", "content": word} for word in WORDS]
    for delta in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if (asked.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": CHAT_USAGE}


def responses(seen: Seen) -> Answer:
    """`/v1/responses`."""
    asked = seen.json()
    text: dict[str, Any] = {"type": "output_text", "text": TEXT, "annotations": []}
    message: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}
    message["status"] = "completed"
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed", **TOOL}
    response: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": asked["model"],
        "output": [call if asked.get("tools") else message],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            **IO_USAGE,
            "total_tokens": PROMPT + ANSWER,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }
    if not asked.get("stream"):
        return Answer.json(response)
    begun: dict[str, Any] = {**response, "status": "in_progress", "output": [], "usage": None}
    item = response["output"][0]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        *(_called(item) if asked.get("tools") else _spoken(item)),
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    ]
    return Answer.stream(*sse(*({**e, "sequence_number": i} for i, e in enumerate(events)), named=True))


def _spoken(message: dict[str, Any]) -> list[dict[str, Any]]:
    """A message of the Responses API, word by word."""
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
        {"type": "response.content_part.added", **place, "part": {**message["content"][0], "text": ""}},
        *({"type": "response.output_text.delta", **place, "delta": word} for word in WORDS),
    ]


def _called(call: dict[str, Any]) -> list[dict[str, Any]]:
    """A call of a function, its arguments in one piece."""
    place = {"item_id": call["id"], "output_index": 0}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**call, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **place, "delta": call["arguments"]},
    ]


def completions(seen: Seen) -> Answer:
    """`/v1/completions`."""
    asked = seen.json()
    head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": asked["model"]}
    if not asked.get("stream"):
        choice = {"index": 0, "text": TEXT, "finish_reason": "stop", "logprobs": None}
        return Answer.json({**head, "choices": [choice], "usage": CHAT_USAGE})
    events = [{**head, "choices": [{"index": 0, "text": w, "finish_reason": None, "logprobs": None}]} for w in WORDS]
    wanted = (asked.get("stream_options") or {}).get("include_usage")
    last = [{**head, "choices": [], "usage": CHAT_USAGE}] if wanted else []
    return Answer.stream(*sse(*events, *last, done=True))


def embeddings(seen: Seen) -> Answer:
    """`/v1/embeddings`."""
    row = {"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}
    usage = {"prompt_tokens": PROMPT, "total_tokens": PROMPT}
    return Answer.json({"object": "list", "data": [row], "model": seen.json()["model"], "usage": usage})


def models(seen: Seen) -> Answer:
    """`GET /v1/models`."""
    row = {"id": "gpt-4o-mini", "object": "model", "created": 1, "owned_by": "somebody"}
    return Answer.json({"object": "list", "data": [row]})


def messages(seen: Seen) -> Answer:
    """`/v1/messages`."""
    asked = seen.json()
    tool = {"type": "tool_use", "id": "toolu_1", "name": TOOL["name"], "input": json.loads(TOOL["arguments"])}
    content = tool if asked.get("tools") else {"type": "text", "text": TEXT}
    reason = "tool_use" if asked.get("tools") else "end_turn"
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [content],
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": IO_USAGE,
    }
    if not asked.get("stream"):
        return Answer.json(message)
    start = {**message, "content": [], "stop_reason": None, "usage": {**IO_USAGE, "output_tokens": 1}}
    blank = {**content, "input": {}} if asked.get("tools") else {**content, "text": ""}
    deltas: list[dict[str, Any]] = (
        [{"type": "input_json_delta", "partial_json": TOOL["arguments"]}]
        if asked.get("tools")
        else [{"type": "text_delta", "text": word} for word in WORDS]
    )
    end = {"stop_reason": reason, "stop_sequence": None}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": blank},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": ANSWER}},
        {"type": "message_stop"},
    ]
    return Answer.stream(*sse(*events, named=True))


def gemini(seen: Seen) -> Answer:
    """`:generateContent` and `:streamGenerateContent`, with and without `alt=sse`."""
    tools = seen.json().get("tools")
    model = seen.path.rsplit("/", 1)[1].split(":")[0]
    if not seen.path.endswith(":streamGenerateContent"):
        call = {"functionCall": {"name": TOOL["name"], "args": json.loads(TOOL["arguments"])}}
        return Answer.json(_candidate(call if tools else {"text": TEXT}, model, last=True))
    events = [_candidate({"text": word}, model, last=word == WORDS[-1]) for word in WORDS]
    if "alt=sse" in seen.query:
        return Answer.stream(*sse(*events))
    return Answer.stream(*json_array(*events), headers={"content-type": "application/json; charset=UTF-8"})


def _candidate(part: dict[str, Any], model: str, last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
    usage = GEMINI_USAGE if last else {"promptTokenCount": PROMPT, "totalTokenCount": PROMPT}
    return {
        "candidates": [candidate | ({"finishReason": "STOP"} if last else {})],
        "usageMetadata": usage,
        "modelVersion": model,
    }


def json_array(*events: Any) -> tuple[bytes, ...]:
    """Events as Gemini's JSON array, one chunk each."""
    chunks = [(b"[" if i == 0 else b",\r\n") + json.dumps(event, indent=2).encode() for i, event in enumerate(events)]
    return (*chunks, b"\n]")


ROUTES: dict[str, Callable[[Seen], Answer]] = {
    "/v1/chat/completions": chat,
    "/deployments/d-1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/completions": completions,
    "/v1/embeddings": embeddings,
    "/v1/messages": messages,
    "/v1/models": models,
    ":generateContent": gemini,
    ":streamGenerateContent": gemini,
}
"""End of the path -> who answers."""


async def answer(seen: Seen) -> Answer:
    """What a provider says."""
    for end, say in ROUTES.items():
        if seen.path.endswith(end):
            return say(seen)
    return Answer.json({"error": {"message": f"no such path: {seen.path}"}}, 404)
