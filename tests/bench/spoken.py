"""A call of any format in OpenAI's chat words, as peers' counters take it."""

from __future__ import annotations

from typing import Any

from weighbridge.core.counting import bare
from weighbridge.core.model import Call, Media, Message, Part, Text, Thinking, ToolCall, ToolResult


def in_openai_words(call: Call) -> dict[str, Any]:
    """`{"model", "messages", "tools"}`; what has no word there (files) is left out.  Texts without a
    conversation (embeddings) come as `text` too."""
    tools = [
        {"type": "function",
         "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}}
        for tool in call.tools
        if not tool.server
    ]  # fmt: skip
    messages = [said for message in call.messages for said in _said(message)]
    spoken = {"model": call.model, "messages": messages, "tools": tools}
    return {**spoken, "text": [message["content"] for message in messages]} if bare.fits(call) else spoken


def _said(message: Message) -> list[dict[str, Any]]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    rest = [part for part in message.parts if not isinstance(part, ToolResult)]
    found: list[dict[str, Any]] = [
        {"role": "tool", "tool_call_id": part.id, "content": _content(part.parts)} for part in results
    ]
    if not rest and found:
        return found
    said: dict[str, Any] = {"role": message.role, "content": _content(rest)}
    if message.name:
        said["name"] = message.name
    calls = [part for part in rest if isinstance(part, ToolCall)]
    if calls:
        said["tool_calls"] = [
            {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
            for part in calls
        ]
    return [*found, said]


def _content(parts: list[Part] | tuple[Part, ...]) -> Any:
    """One text as a string, more as an array."""
    items = [item for part in parts for item in _item(part)]
    if all(item["type"] == "text" for item in items):
        return "".join(item["text"] for item in items)
    return items


def _item(part: Part) -> list[dict[str, Any]]:
    match part:
        case Text(text) | Thinking(text):
            return [{"type": "text", "text": text}]
        case Media("image"):
            address = part.url or f"data:{part.mime or 'image/png'};base64,{part.data}"
            return [{"type": "image_url", "image_url": {"url": address, "detail": part.detail or "auto"}}]
    return []
