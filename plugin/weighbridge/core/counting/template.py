"""Models whose tokenizer and chat template are at hand: the prompt is written as their server writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from weighbridge.core.counting import media
from weighbridge.core.counting.scale import Scale
from weighbridge.core.counting.text import Tokenizer
from weighbridge.core.model import Call, Json, Media, Message, Part, Text, Thinking, Tool, ToolCall, ToolResult, Unseen

WHOLE = 1_000_000
"""Characters of a prompt that are counted in one piece, which is exact; above, slice by slice."""
PIXELS_PER_TOKEN = 28 * 28
"""An image, which the template only marks: most open vision models read squares of 28 or 32."""


class Unwritten(Exception):
    """The template would not write this conversation; the words say why."""


@runtime_checkable
class ChatTokenizer(Tokenizer, Protocol):
    """A tokenizer that knows how its model's prompts are written."""

    def written(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> str:
        """The prompt of a conversation, in HuggingFace's words, up to where the model goes on.  Raises Unwritten."""


def count(call: Call, tokenizer: ChatTokenizer, scale: Scale) -> None:
    """Put the written prompt on the scale.  Raises Unwritten."""
    functions = [tool for tool in call.tools if not tool.server]
    messages = [said for message in call.messages for said in _messages(message)]
    text = tokenizer.written(messages, [_tool(tool) for tool in functions])
    if functions:
        scale.kinds.add("tools")
    for message in call.messages:
        for part in message.parts:
            _unwritten(part, scale)
    if len(text) <= WHOLE:
        scale.add("messages", tokenizer.count(text))
    else:
        scale.text("messages", text)


def _unwritten(part: Part, scale: Scale) -> None:
    """What a template cannot write: pictures, and what is not in the request."""
    if isinstance(part, ToolResult):
        for inner in part.parts:
            _unwritten(inner, scale)
    elif isinstance(part, Media) and part.kind == "image" and part.data:
        scale.kinds.add("image")
        width, height = media.size(part)
        scale.add("media", width * height / PIXELS_PER_TOKEN)
    elif isinstance(part, (Media, Unseen)):
        media.reference(scale, part)


def _messages(message: Message) -> Iterator[dict[str, Json]]:
    """A turn as HuggingFace's templates read it; a tool's answers are a message each."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        named = {"name": result.name} if result.name else {}
        yield {"role": "tool", "content": media.texts(result.parts), "tool_call_id": result.id, **named}
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    rest = [part for part in message.parts if isinstance(part, (Text, Media))]
    if not results or calls or rest:
        said: dict[str, Json] = {"role": message.role, "content": _content(rest)}
        if thoughts := "".join(part.text for part in message.parts if isinstance(part, Thinking)):
            said["reasoning_content"] = thoughts
        if calls:
            said["tool_calls"] = [_call(part) for part in calls]
        yield said


def _content(parts: Sequence[Text | Media]) -> Json:
    """Text as a string; with pictures in it, as a list of parts."""
    if not any(isinstance(part, Media) and part.kind == "image" for part in parts):
        return media.texts(parts)
    listed = [{"type": "text", "text": part.text} if isinstance(part, Text) else {"type": part.kind} for part in parts]
    return listed


def _call(call: ToolCall) -> dict[str, Json]:
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    function = {"name": call.name, "arguments": arguments if isinstance(arguments, dict) else call.arguments}
    return {"type": "function", "id": call.id, "function": function}


def _tool(tool: Tool) -> dict[str, Json]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}
