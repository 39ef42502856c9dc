"""A chat request as the Responses request that means the same, as far as its prompt goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weighbridge.core.model import Json
from weighbridge.counters.question import Uncountable

Body = Mapping[str, Any]


def converted(chat: Body) -> dict[str, Json]:
    """The members that have to do with the prompt.  Raises Uncountable for what Responses has no words for."""
    if chat.get("functions"):
        raise Uncountable("`functions`, the form before tools, has no counterpart in Responses")
    if chat.get("web_search_options"):
        raise Uncountable("tools that run at the provider are not counted there")
    found = {
        "model": chat.get("model"),
        "input": [item for message in chat.get("messages") or () for item in _items(message)],
        "tools": [_tool(tool) for tool in chat.get("tools") or ()] or None,
        "tool_choice": _choice(chat.get("tool_choice")),
        "text": _text(chat),
        "reasoning": {"effort": chat["reasoning_effort"]} if chat.get("reasoning_effort") else None,
        "parallel_tool_calls": chat.get("parallel_tool_calls"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _items(message: Body) -> Iterator[dict[str, Json]]:
    """The items of one message: its words, and the calls it makes, one by one."""
    role = message.get("role")
    if role == "tool":
        output = _content(message.get("content"), "input_text")
        yield {"type": "function_call_output", "call_id": message.get("tool_call_id"), "output": output}
        return
    if role == "function" or message.get("function_call") or message.get("audio"):
        raise Uncountable("the conversation holds what Responses has no words for")
    content = message.get("content")
    if content or not message.get("tool_calls"):
        kind = "output_text" if role == "assistant" else "input_text"
        yield {"type": "message", "role": role, "content": _content(content or "", kind)}
    for call in message.get("tool_calls") or ():
        yield _call(call)


def _call(call: Body) -> dict[str, Json]:
    if "custom" in call:
        custom = call["custom"]
        named = {"name": custom.get("name"), "input": custom.get("input")}
        return {"type": "custom_tool_call", "call_id": call.get("id"), **named}
    function = call.get("function") or {}
    named = {"name": function.get("name"), "arguments": function.get("arguments")}
    return {"type": "function_call", "call_id": call.get("id"), **named}


def _content(content: Json, kind: str) -> Json:
    """A string stays one; parts are named in Responses' words."""
    return [_part(part, kind) for part in content] if isinstance(content, list) else content


def _part(part: Json, kind: str) -> dict[str, Json]:
    if isinstance(part, str):
        return {"type": kind, "text": part}
    convert = PARTS.get(part.get("type", ""))
    if convert is None:
        raise Uncountable("the conversation holds content that Responses has no words for")
    return convert(part, kind)


def _image(part: Body, kind: str) -> dict[str, Json]:
    link = part.get("image_url")
    address = link if isinstance(link, Mapping) else {"url": link}
    return {"type": "input_image", "image_url": address.get("url"), "detail": address.get("detail") or "auto"}


PARTS: Mapping[str, Callable[[Body, str], dict[str, Json]]] = {
    "text": lambda part, kind: {"type": kind, "text": part.get("text")},
    "refusal": lambda part, kind: {"type": "refusal", "refusal": part.get("refusal")},
    "image_url": _image,
}
"""Type of a chat part -> the Responses part.  Sound is taken by neither counter."""


def _tool(tool: Body) -> dict[str, Json]:
    """Chat nests what a tool is under its type, Responses does not."""
    kind = tool.get("type", "function")
    inner = tool.get(kind)
    return {"type": kind, **inner} if isinstance(inner, Mapping) else dict(tool)


def _choice(choice: Json) -> Json:
    """A word stays; a named tool loses its nesting."""
    if not isinstance(choice, Mapping):
        return choice
    kind = choice.get("type", "function")
    inner = choice.get(kind)
    flat = {"type": kind, **inner} if isinstance(inner, Mapping) else dict(choice)
    if isinstance(flat.get("tools"), list):
        flat["tools"] = [_tool(tool) for tool in flat["tools"]]
    return flat


def _text(chat: Body) -> dict[str, Json] | None:
    """`response_format` and `verbosity`, which Responses keeps under `text`."""
    text: dict[str, Json] = {}
    form = chat.get("response_format")
    if isinstance(form, Mapping):
        schema = form.get("json_schema")
        text["format"] = {"type": "json_schema", **schema} if isinstance(schema, Mapping) else dict(form)
    if chat.get("verbosity"):
        text["verbosity"] = chat["verbosity"]
    return text or None
