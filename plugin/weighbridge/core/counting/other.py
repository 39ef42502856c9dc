"""Every other model: o200k_base scaled, and constants for what its host adds."""

from __future__ import annotations

from math import ceil

from weighbridge.core.counting import files, media, render
from weighbridge.core.counting.data import other as data
from weighbridge.core.counting.data.other import Rules
from weighbridge.core.counting.data.unseen import PAGE_OF_TEXT, SERVER_TOOL
from weighbridge.core.counting.scale import Place, Scale
from weighbridge.core.model import (
    Call,
    Media,
    Message,
    Model,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
)

AUDIO_PER_SECOND = 25
WEIGHTS = data.WEIGHTS
TILE = 336


def rules_for(model: Model, host: str = "") -> Rules:
    """The constants of a model, by who serves it, its row and its name."""
    name = f"{host} {model.entry} {model.name}".lower()
    return next((rules for pattern, rules in data.HOSTS if pattern.search(name)), data.PLAIN)


def known(model: Model, host: str) -> bool:
    """Whether anything is known of the model's template."""
    return rules_for(model, host) is not data.PLAIN


def count(call: Call, model: Model, scale: Scale) -> None:
    """Put a request on the scale."""
    rules = rules_for(model, scale.host)
    scale.add("frame", rules.frame + rules.message * sum(not _answers(message) for message in call.messages))
    if call.tools and call.tool_choice != "none":
        _tools(call, rules, scale)
    if call.schema is not None:
        scale.kinds.add("structured")
        cost = data.BEDROCK_SCHEMA if call.dialect == "bedrock-converse" else rules.schema
        scale.text("schema", render.compact(call.schema.schema), cost)
    for message in call.messages:
        place: Place = "system" if message.role == "system" else "messages"
        scale.text("frame", message.name, rules.text)
        for part in message.parts:
            _part(part, place, rules, scale)


def _answers(message: Message) -> bool:
    return any(isinstance(part, ToolResult) for part in message.parts)


def _tools(call: Call, rules: Rules, scale: Scale) -> None:
    """Offered functions; templates leave them out where none may be called."""
    scale.kinds.add("tools")
    scale.add("frame", rules.first_tool)
    for tool in call.tools:
        _tool(tool, rules, scale)


def _tool(tool: Tool, rules: Rules, scale: Scale) -> None:
    if tool.server:
        scale.kinds.add("server")
        scale.hide(f"tool {tool.server}", SERVER_TOOL)
    else:
        shown = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
        scale.add("frame", rules.each)
        scale.text("tools", render.compact(shown), rules.tool)


def _part(part: Part, place: Place, rules: Rules, scale: Scale) -> None:
    match part:
        case Text(text):
            # Where thoughts are left out of the prompt, so are those that were sent back as text.
            spoken = text if rules.thought else text.rpartition(data.HIDDEN_REASONING)[2]
            scale.text(place, spoken, rules.text)
        case ToolCall(name, arguments):
            scale.text(place, f"{name}{arguments}", rules.text)
            scale.add("frame", rules.call)
        case ToolResult(parts):
            for inner in parts:
                _part(inner, place, rules, scale)
        case Thinking():
            scale.kinds.add("hidden" if part.signature else "thinking")
            scale.text(place, part.text, rules.thought)
        case Media():
            _media(part, rules, scale)
        case Unseen():
            media.reference(scale, part)


def _media(part: Media, rules: Rules, scale: Scale) -> None:
    if not part.data:
        media.reference(scale, part)
    elif part.kind == "image":
        scale.kinds.add("image")
        scale.add("media", _image(*media.size(part), rules))
    elif media.is_text(part):
        scale.kinds.add("document")
        scale.text("media", files.decoded(part.data, len(part.data)).decode("utf-8", "replace"), rules.text)
    elif part.kind == "document":
        _pages(part, rules, scale)
    else:
        scale.kinds.add("av")
        length = media.seconds(part)
        film = max(length * rules.second, float(rules.image))
        scale.add("media", length * AUDIO_PER_SECOND if part.kind == "audio" else film)


def _image(width: int, height: int, rules: Rules) -> float:
    if rules.tile:
        squares = ceil(width / TILE) * ceil(height / TILE)
        return rules.tile * min(data.TILES_MOST, squares + (squares > 1))
    return rules.image or max(1.0, width * height * rules.pixel)


def _pages(part: Media, rules: Rules, scale: Scale) -> None:
    scale.kinds.add("document")
    texts = scale.reader.pages(part.data)
    pages = media.pages(part) if texts is None else len(texts)
    scale.add("media", pages * rules.page)
    if texts is None:
        scale.add("media", pages * rules.page_text * data.PAGE_TEXT)
        scale.hide("text of a PDF", pages * PAGE_OF_TEXT)
    for text in texts or ():
        scale.text("media", text, rules.page_text)
