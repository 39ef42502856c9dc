"""Gemini: text without any frame, functions as bare strings, media by generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import ceil, floor
from typing import Any

from weighbridge.core.counting import clips, files, geometry, media, render
from weighbridge.core.counting.data import gemini as data
from weighbridge.core.counting.data.gemini import Rules
from weighbridge.core.counting.data.unseen import SERVER_TOOL
from weighbridge.core.counting.scale import Place, Scale
from weighbridge.core.counting.text import Weights
from weighbridge.core.model import Call, Json, Media, Model, Part, Text, Thinking, Tool, ToolCall, ToolResult, Unseen

WORDS = ("title", "description", "format", "enum")
CONTAINERS = frozenset(("properties", "items"))


def rules_for(name: str) -> Rules:
    """The constants of a model, by the last part of its name."""
    short = name.rsplit("/", 1)[-1].lower()
    return next((rules for pattern, rules in data.GENERATIONS if pattern.search(short)), data.G3)


def weights(model: Model) -> Weights:
    """What a token of the public vocabulary stands for."""
    return rules_for(model.name).text


def count(call: Call, model: Model, scale: Scale) -> None:
    """Put a request to Gemini on the scale, in whatever dialect it came."""
    rules = _served(call, rules_for(model.name))
    place_of = f"{scale.host} {model.entry}"
    vertex = "vertex" in place_of
    if not vertex and (call.dialect == "gemini-generate" or data.API.search(place_of)):
        scale.add("frame", rules.turn * len(call.messages))
    _tools(call, rules, scale)
    if vertex:
        scale.add("frame", rules.vertex if call.tools else 0.0)
        rules = replace(rules, signature=0.0, result_page=rules.page)
    if call.schema is not None:
        scale.kinds.add("structured")
    asked = [i for i, m in enumerate(call.messages) if m.role == "user" and not _answers(m.parts)]
    for index, message in enumerate(call.messages):
        place: Place = "system" if message.role == "system" else "messages"
        rate = rules.signature if index > max(asked, default=-1) else 0.0
        if rules.signature and not (rate and _signed(message.parts)):
            scale.add("frame", rules.unsigned * sum(isinstance(part, ToolCall) for part in message.parts))
        for part in message.parts:
            _part(part, place, rules, rate, scale)


def _served(call: Call, rules: Rules) -> Rules:
    if rules.signature:
        return rules
    thoughts = (part for message in call.messages for part in message.parts if isinstance(part, Thinking))
    return data.G3 if any(len(thought.signature) > data.SIGNED for thought in thoughts) else rules


def _answers(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, ToolResult) for part in parts)


def _signed(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, Thinking) and part.signature for part in parts)


def _tools(call: Call, rules: Rules, scale: Scale) -> None:
    functions = [tool for tool in call.tools if not tool.server]
    if functions:
        scale.kinds.add("tools")
        scale.add("frame", rules.block)
    for tool in functions:
        strings, properties, containers = _strings(tool)
        scale.add("tools", rules.function + rules.container * containers)
        scale.add("tools", (rules.parameters if properties else 0.0) + rules.property * properties)
        scale.text("tools", tool.name, rules.name)
        scale.text("tools", "\n".join(strings), rules.strings)
    for tool in call.tools:
        if tool.server:
            scale.kinds.add("server")
            scale.hide(f"tool {tool.server}", SERVER_TOOL)


def _strings(tool: Tool) -> tuple[list[str], int, int]:
    """A function's names and descriptions, and how many properties it has, references followed, and
    how many lists and objects are in them."""
    found, properties, containers = [tool.description], 0, -1
    for name, schema in _walk(tool.schema, tool.schema, ()):
        properties += bool(name)
        containers += bool(CONTAINERS & schema.keys())
        found += [name, *(word for key in WORDS for word in _words(schema.get(key)))]
    return [text for text in found if text], properties, max(0, containers)


def _words(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [value] if isinstance(value, str) else []


def _walk(schema: Json, root: Mapping[str, Any], trail: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(property's name or "", schema) of a schema and everything in it."""
    stack: list[tuple[str, Json, tuple[str, ...]]] = [("", schema, trail)]
    left = render.MOST_TYPES
    while stack and left:
        left -= 1
        name, item, path = stack.pop()
        if not isinstance(item, Mapping):
            continue
        ref = item.get("$ref")
        if isinstance(ref, str) and path.count(ref) < data.EXPANDED:
            stack.append((name, render.target(root, ref), (*path, ref)))
            continue
        yield name, item
        inner = item.get("properties")
        stack += [(key, value, path) for key, value in inner.items()] if isinstance(inner, Mapping) else []
        stack += [("", item.get("items"), path)]
        stack += [("", value, path) for value in item.get("anyOf") or () if isinstance(value, Mapping)]


def _part(part: Part, place: Place, rules: Rules, signature: float, scale: Scale) -> None:
    match part:
        case Text(text):
            scale.text(place, text)
        case ToolCall(name, arguments):
            scale.add("frame", rules.call)
            scale.text(place, f"{name}{arguments}", rules.call_token)
        case ToolResult():
            _result(part, place, rules, signature, scale)
        case Thinking():
            scale.kinds.add("hidden" if part.signature else "thinking")
            scale.add("messages", len(part.signature) * signature)
            scale.text(place, part.text)
        case Media():
            _media(part, rules, scale)
        case Unseen():
            media.reference(scale, part)


def _result(result: ToolResult, place: Place, rules: Rules, signature: float, scale: Scale) -> None:
    scale.add("frame", rules.result)
    scale.text(place, result.name, rules.result_token)
    for part in result.parts:
        if isinstance(part, Text):
            scale.text(place, part.text, rules.result_token)
        elif isinstance(part, Media) and part.kind == "document":
            _media(part, replace(rules, page=rules.result_page), scale)
        else:
            _part(part, place, rules, signature, scale)


def _media(part: Media, rules: Rules, scale: Scale) -> None:
    if not part.data:
        media.reference(scale, part)
    elif part.kind == "image":
        scale.kinds.add("image")
        scale.add("media", image(media.size(part), part.detail, rules))
    elif media.is_text(part):
        scale.kinds.add("document")
        scale.text("media", files.decoded(part.data, len(part.data)).decode("utf-8", "replace"))
    elif part.kind == "document":
        scale.kinds.add("document")
        scale.add("media", media.pages(part) * page(rules))
    else:
        scale.kinds.add("av")
        scale.add("media", _clip(part, rules))


def _clip(part: Media, rules: Rules) -> float:
    """A sound, or a film: a picture each whole second, and its sound."""
    length = media.seconds(part)
    if part.kind == "audio":
        return ceil(length * rules.second)
    sound = length * rules.second if length > 1.5 and clips.has_sound(part.data) else 0.0
    return max(round(length), floor(length)) * rules.frame + sound


def image(size: files.Size, detail: str, rules: Rules) -> int:
    """Tokens of an image at a media resolution ("" the default one)."""
    level = detail.removeprefix("MEDIA_RESOLUTION_").lower()
    if rules.image:
        return geometry.area(*size, rules.detail.get(level, rules.image))
    if level in rules.detail:
        return rules.detail[level]
    return geometry.crops(*size, rules.crop) if rules.cropped else rules.crop


def page(rules: Rules) -> int:
    """Tokens of a PDF page."""
    return geometry.area(*data.LETTER, rules.page) if rules.image else rules.page
