"""OpenAI: the text frame, tools and schemas as they are rendered, images by geometry.  Exact for text."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from math import floor

from weighbridge.core.counting import files, geometry, media, render
from weighbridge.core.counting.data import openai as data
from weighbridge.core.counting.data.openai import Patches, Rules
from weighbridge.core.counting.data.unseen import PAGE_OF_TEXT, REASONING, SERVER_TOOL, WEB
from weighbridge.core.counting.scale import Place, Scale
from weighbridge.core.counting.text import slices
from weighbridge.core.model import Call, Media, Message, Model, Part, Role, Text, Thinking, ToolCall, ToolResult, Unseen

SPEAKERS: Mapping[Role, Place] = {"system": "system", "user": "messages", "assistant": "messages"}
WRAPPER = "multi_tool_use.parallel"
MOST_MINIFIED = 1_000_000
"""Characters of arguments that are still parsed to take their blanks out."""


def rules_for(name: str) -> Rules:
    """The constants of a model, by the last part of its name."""
    short = name.rsplit("/", 1)[-1].lower().removeprefix("openai.")
    return next((rules for pattern, rules in data.GENERATIONS if pattern.search(short)), data.CLASSIC)


def count(call: Call, model: Model, scale: Scale) -> None:
    """Put a chat or Responses request on the scale."""
    _Chat(call, rules_for(model.name), scale).count()


class _Chat:
    """One request being counted."""

    def __init__(self, call: Call, rules: Rules, scale: Scale) -> None:
        self._call = call
        self._rules = rules
        self._scale = scale
        self._routed = "openrouter" in scale.host
        """OpenRouter sends chat on to OpenAI as Responses."""
        self._responses = call.dialect == "openai-responses" or self._routed
        self._functions = tuple(tool for tool in call.tools if not tool.server)
        self._apart = bool(self._functions) and rules.apart > 0
        """The tools stand apart from the system message."""
        self._block = self._written()
        """What is written behind the first system message."""
        self._kept: Container[str] = call.extra.get("kept_calls", ())

    @cached_property
    def _names(self) -> Mapping[str, str]:
        """Names of the tools that were called, by the call's id."""
        return {part.id: part.name for m in self._call.messages for part in m.parts if isinstance(part, ToolCall)}

    @cached_property
    def _last_user(self) -> int:
        return max((i for i, m in enumerate(self._call.messages) if m.role == "user"), default=-1)

    def count(self) -> None:
        self._scale.add("frame", self._rules.reply)
        system = next((i for i, m in enumerate(self._call.messages) if m.role == "system"), None)
        self._offers(system)
        wrapped, before = False, -1
        for index, turn in self._said(system if self._block else None):
            wrapped = wrapped and index == before + 1
            before = index
            if turn.role == "tool":
                self._results(turn, wrapped)
            else:
                wrapped = self._message(turn, index)

    def _said(self, joined: int | None) -> Sequence[tuple[int, Message]]:
        """Count nearly every turn of a long chat: one short text.  The other turns, but the `joined`
        one, with their places."""
        texts: Mapping[Role, list[str]] = {role: [] for role in SPEAKERS}
        others = []
        for index, turn in enumerate(self._call.messages):
            role, parts = turn.role, turn.parts
            if index == joined:
                continue
            if len(parts) == 1 and type(parts[0]) is Text and role in texts and parts[0].text and not turn.name:
                texts[role].append(parts[0].text)
            else:
                others.append((index, turn))
        for role, said in texts.items():
            self._scale.add("frame", len(said) * self._frame(role, True))
            self._scale.texts(SPEAKERS[role], said)
        return others

    def _written(self) -> str:
        blocks = [render.tools(self._functions)] if self._functions and not self._apart else []
        blocks += [render.output_schema(self._call.schema)] if self._call.schema else []
        return "\n\n".join(blocks)

    def _offers(self, system: int | None) -> None:
        """Tools, schema and tool choice, with the system message they are joined to."""
        if self._functions:
            self._scale.kinds.add("tools")
            self._choice()
        if self._apart:
            self._scale.add("frame", self._separate())
            self._scale.text("tools", render.tools(self._functions))
        if self._block:
            self._joined(None if system is None else self._call.messages[system])
        if schema := self._call.schema:
            self._scale.kinds.add("structured")
            if not self._functions:
                self._scale.add("schema", 2)
                self._scale.text("schema", schema.name)
        for tool in self._call.tools:
            if tool.server:
                self._scale.kinds.add("server")
                self._scale.hide(f"tool {tool.server}", WEB if tool.server.startswith("web_search") else SERVER_TOOL)

    def _joined(self, system: Message | None) -> None:
        """The block and the system message before it, encoded together; a message of its own without one."""
        place: Place = "tools" if self._functions and not self._apart else "schema"
        content, end = "" if system is None else media.texts(system.parts), ""
        self._scale.add("frame", self._rules.message + self._discount(system is not None))
        if system is not None:
            self._name(system)
            self._default(system)
            self._others(system.parts)
        for piece in slices(content):
            self._scale.text("system", end)
            end = piece
        alone = self._scale.weigh(end)
        joint = f"{end}\n\n{self._block}" if content else self._block
        self._scale.add("system", alone)
        self._scale.add(place, sum(self._scale.weigh(piece) for piece in slices(joint)) - alone)

    def _discount(self, after_system: bool) -> int:
        tools = bool(self._functions) and not self._apart
        less = -1 if tools else 0
        if self._responses and tools:
            less += self._rules.responses_tools[0 if after_system else 1]
        if self._responses and not tools:
            less += self._rules.responses_schema
        return less

    def _separate(self) -> int:
        """The frame of tools that stand apart."""
        more = data.BEDROCK_TOOLS if "bedrock" in self._scale.host else 0
        more += 0 if self._responses else self._rules.preamble
        return self._rules.apart + more - (0 if self._functions[0].description else self._rules.undescribed)

    def _choice(self) -> None:
        chosen = self._call.tool_choice
        if chosen == "required" and self._responses and len(self._call.tools) == 1:
            chosen = "=" + self._call.tools[0].name
        if chosen.startswith("=") and self._rules.choice_named:
            self._scale.add("tools", self._rules.choice_named)
            self._scale.text("tools", chosen[1:])
        elif chosen == "none":
            self._scale.add("tools", self._rules.choice_none)

    def _message(self, turn: Message, index: int) -> bool:
        """One turn but a tool's; True where it called several tools at once."""
        place = SPEAKERS[turn.role]
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        rest = [part for part in turn.parts if not isinstance(part, (ToolCall, Thinking))]
        self._thoughts(turn, index)
        said = media.texts(rest)
        if rest or (calls and not self._responses):
            self._scale.add("frame", self._frame(turn.role, bool(said)))
        self._name(turn)
        self._default(turn)
        self._scale.text(place, said)
        self._others(rest)
        wrapped = len(calls) > 1 and not self._responses
        if wrapped:
            self._scale.add("frame", self._rules.parallel)
            self._scale.text("messages", WRAPPER)
            self._scale.text("messages", _wrapped(calls))
        else:
            for call in calls:
                self._single(call)
        return wrapped

    def _single(self, call: ToolCall) -> None:
        # Responses has a message for each call, whatever the client put together.
        more = self._rules.message + data.RESPONSES_CALL[call.id in self._kept] if self._responses else 0
        self._scale.add("frame", self._rules.call + more)
        self._scale.text("messages", call.name)
        self._scale.written("messages", call.arguments, _minified)

    def _frame(self, role: Role, speaks: bool) -> int:
        if role != "assistant" or not speaks:
            return self._rules.message
        answered = self._rules.answered if self._call.schema and not self._responses else 0
        return self._rules.message + self._rules.spoken + answered

    def _name(self, turn: Message) -> None:
        if turn.name:
            self._scale.add("frame", 0 if turn.name == turn.role else self._rules.named)
            self._scale.text("frame", turn.name)

    def _default(self, turn: Message) -> None:
        """The provider's own instructions, where those of the request are empty."""
        if self._responses and turn.role == "system" and turn.parts == (Text(""),):
            self._scale.add("frame", self._rules.instructions - self._rules.message)

    def _results(self, turn: Message, wrapped: bool) -> None:
        for part in turn.parts:
            if not isinstance(part, ToolResult):
                self._scale.text("messages", media.texts([part]))
                self._others([part])
                continue
            if wrapped:
                for piece in slices(media.texts(part.parts)):
                    self._scale.text("messages", render.compact(piece, self._rules.ascii_results)[1:-1])
            else:
                self._scale.add("frame", self._rules.message)
                name = part.name or self._names.get(part.id, "")
                self._scale.text("messages", f"functions.{name}" if name else "")
                self._scale.text("messages", media.texts(part.parts))
            self._others(part.parts)

    def _others(self, parts: Sequence[Part]) -> None:
        """What is no text."""
        for part in parts:
            if isinstance(part, Media):
                self._media(part)
            elif isinstance(part, Unseen):
                self._elsewhere(part)

    def _pages(self, part: Media) -> None:
        """A PDF: the text of its pages, and what is seen of each."""
        texts = self._scale.reader.pages(part.data)
        if texts is None:
            count = media.pages(part)
            most = len(part.data) * 3 / 4 / data.PDF_BYTES_PER_TOKEN
            self._scale.add("media", min(count * data.PDF_TEXT_PER_PAGE, most))
            self._scale.hide("text of a document", count * PAGE_OF_TEXT)
        else:
            count = len(texts)
            for text in texts:
                self._scale.text("media", text)
        seen = count * self._rules.pdf_page[1 if self._responses else 0]
        self._scale.add("media", data.OPENROUTER_PDF if self._routed else seen)

    def _elsewhere(self, part: Media | Unseen) -> None:
        detail = part.detail if isinstance(part, Media) else ""
        media.reference(self._scale, part, image(data.PHOTO, detail, self._rules, self._responses))

    def _thoughts(self, turn: Message, index: int) -> None:
        for part in turn.parts:
            if isinstance(part, Thinking) and not part.signature:
                # Without its seal an item is read from where the provider keeps it.
                if self._call.dialect == "openai-responses" and index > self._last_user:
                    self._scale.kinds.add("hidden")
                    self._scale.hide("reasoning kept by the provider", REASONING)
            elif isinstance(part, Thinking):
                self._scale.kinds.add("hidden")
                sealed = data.SEALED.get(part.signature[:6], data.SEALED_ELSEWHERE)
                if sealed.lasts or index > self._last_user:
                    size = max(0, len(part.signature) - sealed.head) * data.REASONING_PER_CHARACTER
                    self._scale.add("messages", sealed.item + size)

    def _media(self, part: Media) -> None:
        if not part.data:
            self._elsewhere(part)
        elif part.kind == "image":
            self._scale.kinds.add("image")
            self._scale.add("media", image(media.size(part), part.detail, self._rules, self._responses))
        elif media.is_text(part):
            self._scale.kinds.add("document")
            self._scale.text("media", files.decoded(part.data, len(part.data)).decode("utf-8", "replace"))
        elif part.kind == "document":
            self._scale.kinds.add("document")
            self._pages(part)
        else:
            self._scale.kinds.add("av")
            self._scale.add("media", data.AUDIO + floor(media.seconds(part) * data.AUDIO_PER_SECOND))


def image(size: files.Size, detail: str, rules: Rules, responses: bool = False) -> int:
    """Tokens of an image."""
    rule = rules.image
    if isinstance(rule, Patches):
        edge, budget = rule.by_detail.get(detail, (rule.edge, rule.budget))
        return geometry.patches(*size, budget, edge, rule.factor) + rule.more[responses]
    return rule.base if detail == "low" else geometry.tiles(*size, rule.base, rule.tile)


def _minified(arguments: str) -> str:
    if len(arguments) > MOST_MINIFIED:
        return arguments
    try:
        return render.compact(json.loads(arguments))
    except (ValueError, RecursionError):
        return arguments


def _wrapped(calls: Sequence[ToolCall]) -> str:
    uses = (f'{{"recipient_name":"functions.{call.name}","parameters":{_minified(call.arguments)}}}' for call in calls)
    return f'{{"tool_uses":[{",".join(uses)}]}}'
