"""Claude: no public tokenizer, so text is estimated from o200k_base, and the rest follows the documentation."""

from __future__ import annotations

from weighbridge.core.counting import files, geometry, media, render
from weighbridge.core.counting.data import anthropic as data
from weighbridge.core.counting.data.anthropic import Rules
from weighbridge.core.counting.data.unseen import SERVER_TOOL
from weighbridge.core.counting.scale import Place, Scale
from weighbridge.core.counting.text import Weights
from weighbridge.core.model import Call, Media, Message, Model, Part, Text, Thinking, Tool, ToolCall, ToolResult, Unseen


def rules_for(name: str) -> Rules:
    """The constants of a model, by the last part of its name."""
    short = name.rsplit("/", 1)[-1].lower()
    found = next((rules for pattern, rules in data.GENERATIONS if pattern.search(short)), None)
    return found or (data.V3 if data.OLD.search(short) else data.V47)


def weights(model: Model) -> Weights:
    """What a token of the public vocabulary stands for."""
    return rules_for(model.name).text


def count(call: Call, model: Model, scale: Scale) -> None:
    """Put a request to Claude on the scale, in whatever dialect it came."""
    rules = rules_for(model.name)
    turns = sum(message.role != "system" for message in call.messages)
    scale.add("frame", rules.frame + rules.message * max(0, turns - 1))
    _thinking_mode(call, rules, scale)
    _tools(call, rules, scale)
    if call.schema is not None:
        scale.kinds.add("structured")
        scale.add("frame", data.SCHEMA)
        scale.text("schema", render.compact(call.schema.schema), data.SCHEMA_TOKEN)
    for message in call.messages:
        _message(message, rules, scale)


def _thinking_mode(call: Call, rules: Rules, scale: Scale) -> None:
    mode = call.extra.get("thinking")
    if mode == "enabled":
        scale.add("frame", rules.thinking)
    elif mode == "adaptive":
        scale.add("frame", rules.adaptive)


def _tools(call: Call, rules: Rules, scale: Scale) -> None:
    functions = [tool for tool in call.tools if not tool.server]
    if call.tools:
        scale.kinds.add("tools")
        forced = call.tool_choice == "required" or call.tool_choice.startswith("=")
        scale.add("frame", rules.tools[1 if forced else 0])
    for tool in functions:
        scale.add("frame", rules.each)
        scale.text("tools", _written(tool), rules.tool)
    for tool in call.tools:
        if tool.server:
            _server_tool(tool, scale)


def _written(tool: Tool) -> str:
    shown = {"description": tool.description, "name": tool.name, "parameters": tool.schema}
    return f"<function>{render.compact(shown)}</function>"


def _server_tool(tool: Tool, scale: Scale) -> None:
    scale.kinds.add("server")
    known = next((tokens for prefix, tokens in data.SERVER_TOOLS if tool.server.startswith(prefix)), None)
    if known is None:
        scale.hide(f"tool {tool.server}", SERVER_TOOL)
    else:
        scale.add("tools", known)


def _message(message: Message, rules: Rules, scale: Scale) -> None:
    place: Place = "system" if message.role == "system" else "messages"
    for part in message.parts:
        _part(part, place, rules, scale)


def _part(part: Part, place: Place, rules: Rules, scale: Scale) -> None:
    match part:
        case Text(text):
            scale.text(place, text)
        case ToolCall(name, arguments):
            scale.add("frame", rules.call)
            scale.text(place, f"{name}{arguments}", rules.arguments)
        case ToolResult(parts):
            scale.add("frame", rules.result)
            for inner in parts:
                _part(inner, place, rules, scale)
        case Thinking():
            # Billed next to nothing on recorded rows: earlier turns are stripped.
            scale.kinds.add("thinking")
        case Media() | Unseen():
            _media(part, rules, scale)


def _media(part: Media | Unseen, rules: Rules, scale: Scale) -> None:
    if isinstance(part, Unseen) or not part.data:
        media.reference(scale, part)
    elif part.kind == "image":
        scale.kinds.add("image")
        scale.add("media", geometry.squares(*media.size(part), rules.edge, rules.squares))
    elif media.is_text(part):
        scale.kinds.add("document")
        scale.add("frame", data.TEXT_DOCUMENT)
        scale.text("media", files.decoded(part.data, len(part.data)).decode("utf-8", "replace"))
    elif part.kind == "document":
        scale.kinds.add("document")
        scale.add("media", media.pages(part) * data.PDF_PAGE)
    else:
        media.reference(scale, part)
