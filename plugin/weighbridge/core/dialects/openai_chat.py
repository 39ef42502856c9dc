"""OpenAI chat completions, as spoken by OpenAI and everyone compatible with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from weighbridge.core.dialects import openai_answer, openai_closing, openai_refusal, openai_tools
from weighbridge.core.dialects.answer import Reader, keys, meter
from weighbridge.core.dialects.base import Amendment, Dialect, Meter
from weighbridge.core.dialects.body import (
    compact,
    decode,
    everywhere,
    malformed,
    model_of,
    need,
    objects,
    positive_int,
    want,
)
from weighbridge.core.dialects.openai_parts import parts
from weighbridge.core.dialects.splice import Changes, keep_items, splice
from weighbridge.core.dialects.turns import kept
from weighbridge.core.model import (
    Call,
    Message,
    OutputSchema,
    Part,
    RawCall,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Unseen,
)

ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
PLAIN: Mapping[str, Role] = {word: role for word, role in ROLES.items() if role != "tool"}
LIMITS = ("max_completion_tokens", "max_tokens")
NEW_LIMIT = re.compile(r"(?:^|[/.:])(?:o[134]|gpt-[56])(?![0-9a-z])")
"""Models that refuse `max_tokens`, behind any provider prefix."""
KEPT = ("reasoning_effort", "modalities", "verbosity")
GENERATED = ("content", "text", "refusal", "reasoning", "reasoning_content", "arguments", "input", "transcript")


def parse(raw: RawCall) -> Call:
    """A chat request.  Raises Refused("malformed")."""
    return read(decode(raw.body), raw)


def read(body: Mapping[str, Any], raw: RawCall) -> Call:
    """A chat request whose body is decoded.  Raises Refused("malformed")."""
    stream = want(body, "stream", bool, False)
    asked = want(want(body, "stream_options", dict, {}), "include_usage", bool, False, "stream_options.")
    return Call(
        dialect=raw.dialect,
        model=model_of(body, raw.model),
        messages=_messages(body),
        tools=_tools(body),
        tool_choice=_choice(body),
        schema=_schema(body),
        max_output=_limit(body),
        choices=positive_int(body, "n") or 1,
        stream=stream,
        wants_usage=asked or not stream,
        tier=openai_answer.tier(want(body, "service_tier", str, "")),
        caches="1h" if "1h" in everywhere(body, "ttl", raw.body) else "5m",
        sounds="audio" in want(body, "modalities", list, []),
        extra=_extra(body),
    )


def _messages(body: Mapping[str, Any]) -> tuple[Message, ...]:
    found = objects(body, "messages")
    if not found:
        malformed("Missing required parameter: 'messages'. Give an array of at least one message.", "messages")
    return (*_elsewhere(body), *(_message(item, i) for i, item in enumerate(found)))


def _elsewhere(body: Mapping[str, Any]) -> Iterator[Message]:
    """OpenRouter's stored prompts, and other models that may answer, with prompts of their own."""
    preset = want(body, "preset", str, "")
    others = want(body, "models", list, [])
    if preset:
        yield Message("system", (Unseen(f"preset {preset}"),))
    if others:
        yield Message("system", (Unseen("models that may answer instead"),))


def _message(item: Mapping[str, Any], index: int) -> Message:
    text, word = item.get("content"), item.get("role")
    if len(item) == 2 and type(text) is str and text and type(word) is str and word in PLAIN:
        # Nearly every message of a long chat, told without the paths that only a refusal needs.
        return Message(PLAIN[word], (Text(text),))
    where = f"messages[{index}]."
    word = need(item, "role", str, where)
    role = ROLES.get(word)
    if role is None:
        malformed(f"Invalid value for '{where}role'. Use one of {', '.join(ROLES)}.", where + "role")
    name = want(item, "name", str, "", where)
    content = parts(item.get("content"), where + "content")
    if role == "tool":
        return Message(role, (ToolResult(content, name, want(item, "tool_call_id", str, "", where)),))
    if role == "assistant":
        content = (*_thoughts(item, where), *content, *_spoken(item, where), *_calls(item, where))
    return Message(role, content, name)


def _thoughts(item: Mapping[str, Any], where: str) -> Iterator[Part]:
    for key in ("reasoning_content", "reasoning"):
        text = want(item, key, str, "", where)
        if text:
            yield Thinking(text)
            return


def _spoken(item: Mapping[str, Any], where: str) -> Iterator[Part]:
    refusal = want(item, "refusal", str, "", where)
    if refusal:
        yield Text(refusal)
    audio = want(item, "audio", dict, {}, where)
    if audio:
        yield Unseen("audio " + want(audio, "id", str, "", where + "audio."))


def _calls(item: Mapping[str, Any], where: str) -> Iterator[Part]:
    for i, call in enumerate(objects(item, "tool_calls", where)):
        at = f"{where}tool_calls[{i}]."
        kind = want(call, "type", str, "function", at)
        if kind not in openai_tools.WRITTEN_BY_CLIENT:
            yield Text(compact(call))
            continue
        inside = f"{at}{kind}."
        what = need(call, kind, dict, at)
        arguments = want(what, "input" if kind == "custom" else "arguments", str, "", inside)
        yield ToolCall(need(what, "name", str, inside), arguments, want(call, "id", str, "", at))
    legacy = want(item, "function_call", dict, {}, where)
    if legacy:
        where += "function_call."
        yield ToolCall(need(legacy, "name", str, where), want(legacy, "arguments", str, "", where))


def _tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    legacy = [openai_tools.function(f, f"functions[{i}].") for i, f in enumerate(objects(body, "functions"))]
    search = want(body, "web_search_options", dict, None)
    hosted = [] if search is None else [Tool("web_search", schema=search, server="web_search")]
    return (*openai_tools.tools(body), *legacy, *hosted)


def _choice(body: Mapping[str, Any]) -> str:
    if body.get("function_call") is not None:
        return openai_tools.choice(body["function_call"], "function_call")
    return openai_tools.choice(body.get("tool_choice"))


def _schema(body: Mapping[str, Any]) -> OutputSchema | None:
    return openai_tools.schema(want(body, "response_format", dict, {}), "response_format.")


def _limit(body: Mapping[str, Any]) -> int | None:
    given = [positive_int(body, key) for key in LIMITS]
    if None not in given:
        malformed(
            "'max_tokens' and 'max_completion_tokens' contradict each other. Send only 'max_completion_tokens'.",
            "max_tokens",
        )
    return next((limit for limit in given if limit is not None), None)


def _extra(body: Mapping[str, Any]) -> dict[str, Any]:
    extra = {key: body[key] for key in KEPT if body.get(key) is not None}
    reasoning = want(body, "reasoning", dict, {})
    effort = want(reasoning, "effort", str, "", "reasoning.") or ("medium" if reasoning.get("enabled") is True else "")
    if effort:
        extra["reasoning_effort"] = effort
    form = want(want(body, "response_format", dict, {}), "type", str, "text", "response_format.")
    if form == "json_object":
        extra["response_format"] = form
    return extra


def amend(body: bytes, call: Call, change: Amendment) -> bytes:
    """The body with the amendment made in place."""
    sent = decode(body)
    changes: Changes = {}
    if change.max_output is not None:
        changes[_limit_key(sent, change.model or call.model)] = change.max_output
    if change.model is not None:
        changes["model"] = change.model
    if change.ask_usage:
        changes["stream_options", "include_usage"] = True
    if change.drop_turns:
        roles = [ROLES[message["role"]] for message in sent["messages"]]
        body = keep_items(body, "messages", kept(roles, change.drop_turns))
    return splice(body, changes)


def _limit_key(body: Mapping[str, Any], model: str) -> str:
    """Where the limit stands already (null is a place too), or where this model takes it."""
    stands = [key for key in LIMITS if body.get(key) is not None] or [key for key in LIMITS if key in body]
    if stands:
        return stands[0]
    return LIMITS[0] if NEW_LIMIT.search(model) else LIMITS[1]


READER = Reader(
    usage=openai_answer.usage,
    written=keys(*GENERATED),
    streamed=keys(*GENERATED),
    final=openai_answer.at_the_end,
    extra=openai_answer.without_choices,
)


def watch(call: Call, headers: Mapping[str, str]) -> Meter:
    """A meter; it withholds the usage chunk the client did not ask for."""
    return meter(READER, headers, withhold=call.stream and not call.wants_usage, stream=call.stream)


DIALECT = Dialect(
    name="openai-chat",
    parse=parse,
    usage=openai_answer.usage,
    meter=watch,
    amend=amend,
    closing=openai_closing.chat,
    refusal=openai_refusal.refusal,
    count_reply=openai_refusal.count_reply,
)
