"""Claude: text by the vocabulary of its second generation, tools and calls as they are written into the prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from weighbridge.core.counting import files, geometry, media
from weighbridge.core.counting.data import anthropic as data
from weighbridge.core.counting.data.anthropic import Rules
from weighbridge.core.counting.data.unseen import PAGE_OF_TEXT, SERVER_TOOL
from weighbridge.core.counting.scale import Place, Scale
from weighbridge.core.counting.text import Weights
from weighbridge.core.model import (
    Call,
    Json,
    Media,
    Message,
    Model,
    OutputSchema,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
)


def rules_for(name: str) -> Rules:
    """The constants of a model, by the last part of its name."""
    short = name.rsplit("/", 1)[-1].lower()
    found = next((rules for pattern, rules in data.GENERATIONS if pattern.search(short)), None)
    return found or (data.V3 if data.OLD.search(short) else data.V47)


def weights(model: Model) -> Weights:
    """What a token of the vocabulary at hand stands for."""
    rules = rules_for(model.name)
    return rules.text if model.tokenizer == data.VOCABULARY else rules.foreign


def count(call: Call, model: Model, scale: Scale) -> None:
    """Put a request to Claude on the scale, in whatever dialect it came."""
    rules = rules_for(model.name)
    if call.dialect == "bedrock-converse" and data.OLD.search(model.name):
        rules = replace(rules, page=data.PDF_AS_TEXT)
    scale.add("frame", rules.frame + rules.message * _turns(call.messages))
    _modes(call, model, rules, scale)
    _tools(call, rules, scale)
    if call.schema is not None:
        _schema(call, call.schema, rules, scale)
    asked = max((i for i, message in enumerate(call.messages) if _speaks(message)), default=-1)
    for index, message in enumerate(call.messages):
        _message(message, rules, scale, rules.remembers or index > asked)


def _schema(call: Call, schema: OutputSchema, rules: Rules, scale: Scale) -> None:
    scale.kinds.add("structured")
    if call.dialect.startswith("openai"):
        # Who translates OpenAI's words for Claude asks for a schema by forcing a tool.
        scale.add("frame", rules.each + (0 if call.tools else rules.tools[1]))
        scale.text("schema", _written(Tool(schema.name, schema.description, schema.schema)), rules.tool)
    else:
        scale.add("frame", data.SCHEMA + (data.SCHEMA_BESIDE_TOOLS if call.tools else 0.0))
        described = {"description": schema.description} if schema.description else {}
        scale.text("schema", json.dumps({**schema.schema, **described}, indent=2, ensure_ascii=False))


def _turns(messages: tuple[Message, ...]) -> float:
    """Turns, where one speaker's neighbouring messages are one, and the beginning of the answer none."""
    answers = [message.role == "assistant" for message in messages if message.role != "system"]
    return sum(one != other for one, other in pairwise(answers)) - (1 if answers and answers[-1] else 0)


def _speaks(message: Message) -> bool:
    """Whether a person speaks, rather than a tool."""
    return message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts)


def _modes(call: Call, model: Model, rules: Rules, scale: Scale) -> None:
    mode = call.extra.get("thinking")
    forced = call.tool_choice == "required" or call.tool_choice.startswith("=")
    if mode == "enabled" or call.extra.get("reasoning_effort", "none") != "none" or model.name.endswith(":thinking"):
        scale.add("frame", rules.thinking)
    elif mode == "adaptive" and not forced:
        scale.add("frame", rules.adaptive)
    if call.extra.get("task_budget"):
        scale.add("frame", data.TASK_BUDGET)


def _tools(call: Call, rules: Rules, scale: Scale) -> None:
    deferred = _unloaded(call)
    if call.tools:
        scale.kinds.add("tools")
        forced = call.tool_choice == "required" or call.tool_choice.startswith("=")
        scale.add("frame", rules.tools[1 if forced else 0])
    for tool in call.tools:
        if tool.server:
            _server_tool(tool, scale)
        elif tool.name not in deferred:
            scale.add("frame", rules.each)
            scale.text("tools", _written(tool), rules.tool)


def _unloaded(call: Call) -> set[str]:
    """Tools that are kept out of the prompt until a search has found them."""
    names = call.extra.get("deferred_tools")
    if not isinstance(names, list):
        return set()
    results = (part for message in call.messages for part in message.parts if isinstance(part, ToolResult))
    found = {inner.text for result in results for inner in result.parts if isinstance(inner, Text)}
    return {name for name in names if isinstance(name, str)} - found


def _written(tool: Tool) -> str:
    described = {"description": tool.description} if tool.description else {}
    return _json({**described, "name": tool.name, "parameters": tool.schema})


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _server_tool(tool: Tool, scale: Scale) -> None:
    scale.kinds.add("server")
    known = ((tokens, most) for prefix, tokens, most in data.SERVER_TOOLS if tool.server.startswith(prefix))
    tokens, most = next(known, (0, SERVER_TOOL))
    scale.add("tools", tokens)
    if most:
        scale.hide(f"tool {tool.server}", most)


def _message(message: Message, rules: Rules, scale: Scale, thinks: bool) -> None:
    place: Place = "system" if message.role == "system" else "messages"
    if any(isinstance(part, ToolCall) for part in message.parts):
        scale.add("frame", rules.calls)
    for part in message.parts:
        if isinstance(part, Thinking):
            _thinking(part, place, scale, thinks)
        else:
            _part(part, place, rules, scale)


def _thinking(part: Thinking, place: Place, scale: Scale, kept: bool) -> None:
    """Earlier turns' thoughts are taken out of the prompt by the older models."""
    scale.kinds.add("thinking")
    if kept and part.text:
        scale.add("frame", data.THOUGHT)
        scale.text(place, part.text)


def _part(part: Part, place: Place, rules: Rules, scale: Scale) -> None:
    match part:
        case Text(text):
            scale.text(place, text)
        case ToolCall(name, arguments):
            scale.add("frame", rules.call)
            scale.text(place, name)
            for words, frame in _arguments(arguments):
                scale.add("frame", frame * rules.argument)
                scale.text(place, words)
        case ToolResult(parts):
            for inner in parts:
                scale.add("frame", data.FILE_IN_RESULT if isinstance(inner, Media) else 0.0)
                _part(inner, place, rules, scale)
        case Thinking():
            _thinking(part, place, scale, kept=False)
        case Media() | Unseen():
            _media(part, rules, scale)


def _arguments(text: str) -> Iterator[tuple[str, int]]:
    """(words, 1 where a new argument begins) of a call's arguments, which are written one by one."""
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        yield text, 1
        return
    for name, value in given.items():
        yield name, 1
        yield value if isinstance(value, str) else _json(value), 0


def _media(part: Media | Unseen, rules: Rules, scale: Scale) -> None:
    if isinstance(part, Unseen) or not part.data:
        media.reference(scale, part)
    elif part.kind == "image":
        scale.kinds.add("image")
        scale.add("media", rules.image + geometry.squares(*media.size(part), rules.edge, rules.squares))
    elif media.is_text(part):
        scale.kinds.add("document")
        scale.add("frame", data.TEXT_DOCUMENT + (data.NAMED_DOCUMENT if part.name else 0.0))
        scale.text("media", files.decoded(part.data, len(part.data)).decode("utf-8", "replace"))
    elif part.kind == "document":
        _pages(part, rules, scale)
    else:
        media.reference(scale, part)


def _pages(part: Media, rules: Rules, scale: Scale) -> None:
    """A PDF: a picture of each page, and its text."""
    scale.kinds.add("document")
    texts = scale.reader.pages(part.data)
    scale.add("media", (media.pages(part) if texts is None else len(texts)) * rules.page)
    if texts is None:
        scale.add("media", media.pages(part) * data.PDF_TEXT)
        scale.hide("text of a PDF", media.pages(part) * PAGE_OF_TEXT)
    for text in texts or ():
        scale.text("media", text)
