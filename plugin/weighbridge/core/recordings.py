"""Formats that recordings know beside the dialects, each put into the words of one of them.

Only what is counted is kept; what a format calls by another name gets the dialect's.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.dialects.guess import guess
from weighbridge.core.errors import Refused
from weighbridge.core.model import Json

Body = Mapping[str, Any]
Said = tuple[str, dict[str, Any]]
"""(dialect, body in its words)."""


def _same(dialect: str) -> Callable[[Body], Said]:
    return lambda body: (dialect, dict(body))


def _prompt(text: Json) -> Said:
    return "openai-completions", {"prompt": text if isinstance(text, list) else str(text)}


def _chat(*turns: tuple[str, Json]) -> Said:
    return "openai-chat", {"messages": [{"role": role, "content": text} for role, text in turns if text]}


def _embeddings(body: Body) -> Said:
    """OpenAI's, Cohere's (`texts`), Vertex's (`instances`) and Gemini's (`content`, `requests`)."""
    if "input" in body:
        return "openai-embeddings", dict(body)
    texts = body.get("texts")
    found = texts if isinstance(texts, list) else [item.get("content") for item in _objects(body.get("instances"))]
    found = found or [_parts(item) for item in (*_objects(body.get("requests")), body)]
    return "openai-embeddings", {"input": [text for text in found if text]}


def _parts(item: Body) -> str:
    content = item.get("content")
    parts = _objects(content.get("parts")) if isinstance(content, dict) else []
    return "".join(str(part.get("text", "")) for part in parts)


def _invoke(body: Body) -> Said:
    """Bedrock's InvokeModel: the body is the maker's own."""
    if "messages" in body:
        return "anthropic-messages" if "anthropic_version" in body else guess(body) or "", dict(body)
    if "textGenerationConfig" in body:
        return _prompt(body.get("inputText"))
    if "message" in body or "prompt" in body:
        return _cohere(body)
    return _embeddings(_one_text(body))


def _one_text(body: Body) -> Body:
    """Titan's and Nova's embeddings, with their one text where Cohere's are."""
    params = body.get("singleEmbeddingParams")
    text = params.get("text") if isinstance(params, dict) else body.get("inputText")
    text = text.get("value") if isinstance(text, dict) else text
    return {"texts": [text]} if isinstance(text, str) else body


def _counted(body: Body) -> Said:
    """Bedrock's CountTokens, around a body of InvokeModel or Converse."""
    asked = body.get("input")
    inner = asked if isinstance(asked, dict) else {}
    if "converse" in inner:
        return "bedrock-converse", dict(inner["converse"])
    try:
        return _invoke(json.loads(b64decode(inner["invokeModel"]["body"])))
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("malformed", "the body of invokeModel is not JSON in base64") from error


def _cohere(body: Body) -> Said:
    """Version 2 is OpenAI's chat; version 1 has `message`, or only `prompt`."""
    if "messages" in body:
        choice = body.get("tool_choice")
        lowered = {"tool_choice": choice.lower()} if isinstance(choice, str) else {}
        return "openai-chat", {**body, **lowered}
    if "prompt" in body:
        return _prompt(body["prompt"])
    history = [(_COHERE[str(turn.get("role"))], turn.get("message")) for turn in _objects(body.get("chat_history"))]
    return _chat(("system", body.get("preamble")), *history, ("user", body.get("message")))


_COHERE = {"USER": "user", "CHATBOT": "assistant", "SYSTEM": "system", "TOOL": "user", "None": "user"}


def _ollama(body: Body) -> Said:
    if "messages" in body:
        return "openai-chat", dict(body)
    return _prompt(body.get("prompt", "")) if body.get("raw") else _chat(
        ("system", body.get("system")), ("user", body.get("prompt"))
    )  # fmt: skip


def _interactions(body: Body) -> Said:
    """Gemini's interactions: an input that is a text, texts, or turns."""
    asked = body.get("input")
    turns = asked if isinstance(asked, list) else [asked]
    contents = [{"role": "user", "parts": [{"text": turn if isinstance(turn, str) else _said(turn)}]} for turn in turns]
    asked_of = {"model": body.get("model") or body.get("agent"), "systemInstruction": _instruction(body)}
    earlier = body.get("previous_interaction_id")
    known = {**asked_of, "cachedContent": f"of {earlier}" if earlier else None}
    return "gemini-generate", {"contents": contents, **{key: value for key, value in known.items() if value}}


def _instruction(body: Body) -> Json:
    text = body.get("system_instruction")
    return {"parts": [{"text": text}]} if isinstance(text, str) else None


def _said(turn: Json) -> str:
    found = turn.get("text", turn.get("content", "")) if isinstance(turn, dict) else ""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _xai(body: Body) -> Said:
    """xAI's own protocol (gRPC, written as JSON): OpenAI's chat with other spellings."""
    chat = {key: body[key] for key in ("model", "max_tokens", "reasoning_effort") if key in body}
    chat["messages"] = [_xai_message(message) for message in _objects(body.get("messages"))]
    chat["tools"] = [_xai_tool(tool) for tool in _objects(body.get("tools"))]
    return "openai-chat", chat


def _xai_message(message: Body) -> dict[str, Any]:
    role = str(message.get("role", "ROLE_USER")).removeprefix("ROLE_").lower()
    content = [_xai_part(part) for part in _objects(message.get("content"))]
    plain = {key: message[key] for key in ("tool_calls", "tool_call_id", "reasoning_content") if message.get(key)}
    if "tool_calls" in plain:
        calls = _objects(plain["tool_calls"])
        plain["tool_calls"] = [{"type": "function", "function": _named(call)} for call in calls if "function" in call]
    return {"role": role, "content": content, **plain}


def _named(call: Body) -> Json:
    return {"arguments": "", **call["function"]} if isinstance(call["function"], dict) else call["function"]


def _xai_part(part: Body) -> dict[str, Any]:
    if "image_url" in part:
        link = part["image_url"]
        address = link.get("image_url", link.get("url")) if isinstance(link, dict) else link
        return {"type": "image_url", "image_url": {"url": address}}
    return {"type": "text", "text": str(part.get("text", ""))} if "text" in part else dict(part)


def _xai_tool(tool: Body) -> dict[str, Any]:
    function = tool.get("function")
    if not isinstance(function, dict):
        return {"type": next(iter(tool), "unknown")}
    words = function.get("parameters")
    try:
        schema = json.loads(words) if isinstance(words, str) else words
    except ValueError:
        schema = {}
    return {"type": "function", "function": {**function, "parameters": schema or {}}}


def _objects(value: Json) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


RECORDED: Mapping[str, Callable[[Body], Said]] = {
    "completions": _same("openai-completions"),
    "embeddings": _embeddings,
    "writer-chat": _same("openai-chat"),
    "openai-responses-count": _same("openai-responses"),
    "openai-responses-compact": _same("openai-responses"),
    "anthropic-count": _same("anthropic-messages"),
    "anthropic-complete": lambda body: _prompt(body.get("prompt", "")),
    "gemini-count": _same("gemini-generate"),
    "gemini-interactions": _interactions,
    "bedrock-count": _counted,
    "bedrock-invoke": _invoke,
    "cohere": _cohere,
    "ollama": _ollama,
    "xai-grpc": _xai,
}
"""Format of a recording -> what it is in a dialect's words."""
