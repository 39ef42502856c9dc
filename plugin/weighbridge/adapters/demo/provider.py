"""A stand-in for three providers: speaks their wire formats, bills like them, knows nothing.

It counts prompts with a tokenizer and frames of its own, so what it bills differs a little from what
weighbridge estimated, as with real providers.  Asked for something "at length" it writes to its limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from weighbridge import tokenizers
from weighbridge.adapters.demo import forms
from weighbridge.adapters.demo.forms import Answer

Message = MutableMapping[str, Any]
Body = Mapping[str, Any]

SENTENCE: Final = (
    "A weighbridge weighs every lorry before it passes the gate and again on its way out, "
    "so what is billed is what was carried. "
)
TURNS: Final = ("messages", "contents", "input")
SYSTEM: Final = ("system", "instructions", "systemInstruction")
LONGEST: Final = 4096
"""Output tokens where the request names no limit."""
WEIGHTS: Final[Mapping[str, tuple[int, int, int]]] = {
    "openai-chat": (100, 4, 8),
    "openai-responses": (100, 4, 8),
    "anthropic-messages": (118, 5, 496),
    "gemini-generate": (104, 0, 10),
}
"""Dialect -> (tokens billed for 100 counted, for each turn, for offering tools).  Chosen near what
providers bill, not measured: how well they agree with an estimate says nothing about its accuracy."""


async def app(scope: Message, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """The stand-in as an ASGI app; it has no lifespan."""
    if scope["type"] != "http":
        return
    body = json.loads(await _body(receive))
    dialect, stream = _asked(scope["path"], body)
    answer = _answer(dialect, _model(scope["path"], body), body)
    whole, streamed = forms.FORMS[dialect]
    if not stream:
        return await _send(send, "application/json", [json.dumps(whole(answer)).encode()])
    usage_wanted = (body.get("stream_options") or {}).get("include_usage", False)
    await _send(send, "text/event-stream", streamed(answer, usage_wanted))


async def _body(receive: Callable[..., Any]) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _send(send: Callable[..., Any], kind: str, chunks: Iterator[bytes] | list[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _asked(path: str, body: Body) -> tuple[str, bool]:
    """(dialect, stream)."""
    if "/models/" in path:
        return "gemini-generate", path.endswith(":streamGenerateContent")
    by_path = {"/v1/chat/completions": "openai-chat", "/v1/responses": "openai-responses"}
    return by_path.get(path, "anthropic-messages"), bool(body.get("stream"))


def _model(path: str, body: Body) -> str:
    return str(body.get("model") or path.rpartition("/models/")[2].partition(":")[0])


def _answer(dialect: str, model: str, body: Body) -> Answer:
    prompt = _prompt_tokens(dialect, body)
    tool = None if _has_tool_result(body) else _first_tool(body)
    if tool is not None:
        arguments = {"plate": "ZH 123"}
        return Answer(model, (), tool, arguments, prompt, _count(json.dumps(arguments)) + 12, cut=False)
    limit = _limit(body)
    wanted = limit if "at length" in json.dumps(body) else _count(SENTENCE * 3)
    words = _words(min(wanted, limit))
    return Answer(model, words, None, {}, prompt, _count("".join(words)), cut=wanted >= limit)


def _words(tokens: int) -> tuple[str, ...]:
    """Text of about that many tokens, in the pieces a stream brings it in, and never longer."""
    words = [f"{word} " for word in (SENTENCE * (tokens // 20 + 1)).split()][:tokens]
    while words and _count("".join(words)) > tokens:
        words.pop()
    return tuple(words)


def _prompt_tokens(dialect: str, body: Body) -> int:
    """What this stand-in bills for a prompt."""
    percent, frame, offering = WEIGHTS[dialect]
    turns: Any = next((body[key] for key in TURNS if key in body), [])
    counted = sum(_count(text) for text in _texts([turns, *(body.get(key) for key in SYSTEM)]))
    framed = frame * (len(turns) if isinstance(turns, list) else 1) + (3 if frame else 0)
    tools = json.dumps(body["tools"], separators=(",", ":")) if body.get("tools") else ""
    # Providers render a schema shorter than it is sent.
    offered = offering + _count(tools) * 3 // 4 if tools else 0
    return counted * percent // 100 + framed + offered


def _texts(value: Any) -> Iterator[str]:
    """Every text in a prompt, but for what only describes it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in ("role", "type", "id", "tool_call_id", "tool_use_id", "call_id"):
                yield from _texts(item)


def _limit(body: Body) -> int:
    config = body.get("generationConfig") or {}
    named = (body.get(key) for key in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
    return next((n for n in (*named, config.get("maxOutputTokens")) if n), LONGEST)


def _first_tool(body: Body) -> str | None:
    for tool in body.get("tools") or []:
        declared = (tool.get("functionDeclarations") or [None])[0] or tool.get("function") or tool
        return str(declared["name"])
    return None


def _has_tool_result(body: Body) -> bool:
    text = json.dumps([body.get("messages"), body.get("contents"), body.get("input")])
    return any(
        sign in text for sign in ('"tool_result"', '"role": "tool"', '"functionResponse"', '"function_call_output"')
    )


def _count(text: str) -> int:
    return tokenizers.load("o200k_base").count(text)
