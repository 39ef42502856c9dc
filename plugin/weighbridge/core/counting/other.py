"""Every other model: o200k_base scaled, and constants for what its host adds."""

from __future__ import annotations

from weighbridge.core.counting import files, media, render
from weighbridge.core.counting.data import other as data
from weighbridge.core.counting.data.other import Rules
from weighbridge.core.counting.data.unseen import SERVER_TOOL
from weighbridge.core.counting.scale import Place, Scale
from weighbridge.core.model import Call, Media, Model, Part, Text, Thinking, Tool, ToolCall, ToolResult, Unseen

PAGE = 1_000
"""A PDF page, text and picture."""
AUDIO_PER_SECOND = 25
FILM_PER_SECOND = 260


def rules_for(model: Model) -> Rules:
    """The constants of a model, by its row and name."""
    name = f"{model.entry} {model.name}".lower()
    return next((rules for pattern, rules in data.HOSTS if pattern.search(name)), data.PLAIN)


def count(call: Call, model: Model, scale: Scale) -> None:
    """Put a request on the scale."""
    rules = rules_for(model)
    scale.add("frame", rules.frame + rules.message * len(call.messages))
    if call.tools:
        scale.kinds.add("tools")
        scale.add("frame", rules.first_tool)
    for tool in call.tools:
        _tool(tool, rules, scale)
    if call.schema is not None:
        scale.kinds.add("structured")
        scale.text("schema", render.compact(call.schema.schema), rules.text)
    for message in call.messages:
        place: Place = "system" if message.role == "system" else "messages"
        scale.text("frame", message.name, rules.text)
        for part in message.parts:
            _part(part, place, rules, scale)


def _tool(tool: Tool, rules: Rules, scale: Scale) -> None:
    if tool.server:
        scale.kinds.add("server")
        scale.hide(f"tool {tool.server}", SERVER_TOOL)
    else:
        shown = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
        scale.text("tools", render.compact(shown), rules.tool)


def _part(part: Part, place: Place, rules: Rules, scale: Scale) -> None:
    match part:
        case Text(text):
            scale.text(place, text, rules.text)
        case ToolCall(name, arguments):
            scale.text(place, f"{name}{arguments}", rules.text)
            scale.add("frame", rules.call)
        case ToolResult(parts):
            for inner in parts:
                _part(inner, place, rules, scale)
        case Thinking():
            scale.kinds.add("hidden" if part.signature else "thinking")
            scale.text(place, part.text, rules.text)
        case Media():
            _media(part, rules, scale)
        case Unseen():
            media.reference(scale, part)


def _media(part: Media, rules: Rules, scale: Scale) -> None:
    if not part.data:
        media.reference(scale, part)
    elif part.kind == "image":
        scale.kinds.add("image")
        width, height = media.size(part)
        scale.add("media", max(1.0, width * height * rules.pixel))
    elif media.is_text(part):
        scale.kinds.add("document")
        scale.text("media", files.decoded(part.data, len(part.data)).decode("utf-8", "replace"), rules.text)
    elif part.kind == "document":
        scale.kinds.add("document")
        scale.add("media", media.pages(part) * PAGE)
    else:
        scale.kinds.add("av")
        scale.add("media", media.seconds(part) * (AUDIO_PER_SECOND if part.kind == "audio" else FILM_PER_SECOND))
