"""Gemini's API: `models/{model}:generateContent`, `:streamGenerateContent` and `:countTokens`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weighbridge.core.dialects import gemini_closing
from weighbridge.core.dialects.base import Amendment, Dialect
from weighbridge.core.dialects.body import decode, expect, malformed, model_of, need, positive_int, rfc3339, want
from weighbridge.core.dialects.gemini_answer import meter, tier, usage
from weighbridge.core.dialects.gemini_parts import member, members, message, parts, several
from weighbridge.core.dialects.splice import Changes, keep_items, splice
from weighbridge.core.dialects.turns import kept
from weighbridge.core.errors import Reason, Refused, machine_part
from weighbridge.core.model import Call, Json, Message, OutputSchema, RawCall, Role, Tool, ToolResult, Unseen

NAME = "gemini-generate"
Body = Mapping[str, Any]


def parse(raw: RawCall) -> Call:
    """A request to generate.  Its path names the model and says whether the answer is streamed."""
    return _call(members(decode(raw.body), ""), raw)


def parse_count(raw: RawCall) -> Call:
    """A request to count: bare contents, or a whole request to generate in `generateContentRequest`."""
    body = members(decode(raw.body), "")
    inner = member(body, "generateContentRequest")
    if inner and body.get("contents") is not None:
        malformed("Send either 'contents' or 'generateContentRequest', not both.", "generateContentRequest")
    return _call(inner or body, raw)


def _call(body: Body, raw: RawCall) -> Call:
    config = member(body, "generationConfig")
    choice, allowed = _tool_choice(body)
    return Call(
        NAME,
        model_of(body, raw.model).removeprefix("models/"),
        _messages(body),
        tuple(tool for i, item in enumerate(several(body, "tools")) for tool in _tools(item, f"tools[{i}].")),
        tool_choice=choice,
        schema=_schema(config),
        max_output=_count(config, "maxOutputTokens"),
        choices=_count(config, "candidateCount") or 1,
        stream=bool(raw.stream),
        tier=tier(want(body, "serviceTier", str, "")),
        caches="",
        sounds="AUDIO" in want(config, "responseModalities", list, [], "generationConfig."),
        extra=_extra(config, allowed, _json_schemas(body)),
    )


def _count(config: Body, key: str) -> int | None:
    """An integer as protocol buffers read it from JSON: 8, 8.0 and "8" are the same."""
    value = config.get(key)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return positive_int({key: value}, key, "generationConfig.")


def _messages(body: Body) -> tuple[Message, ...]:
    contents = several(body, "contents")
    if not contents:
        malformed("* GenerateContentRequest.contents: contents is not specified", "contents")
    return (*_before(body), *(message(item, f"contents[{i}].") for i, item in enumerate(contents)))


def _before(body: Body) -> Iterator[Message]:
    """What stands before the conversation: a stored prompt, and instructions."""
    if cached := want(body, "cachedContent", str, ""):
        yield Message("system", (Unseen(f"cached content {cached}"),))
    if system := member(body, "systemInstruction"):
        yield Message("system", parts(system, "systemInstruction."))


def _tools(item: Body, where: str) -> Iterator[Tool]:
    for i, function in enumerate(several(item, "functionDeclarations", where)):
        yield _function(function, f"{where}functionDeclarations[{i}].")
    for key, value in item.items():
        if key != "functionDeclarations" and value is not None:
            yield Tool(key, server=key)


def _function(function: Body, where: str) -> Tool:
    schema = _one_of(function, ("parameters", "parametersJsonSchema"), where)
    description = want(function, "description", str, "", where)
    return Tool(need(function, "name", str, where), description, schema or {})


def _one_of(body: Body, keys: tuple[str, ...], where: str) -> dict[str, Any] | None:
    """The object under whichever of these keys is given; at most one may be."""
    given = [key for key in keys if body.get(key) is not None]
    if len(given) > 1:
        malformed(f"Send either '{given[0]}' or '{given[1]}', not both.", where + given[1])
    return expect(body[given[0]], dict, where + given[0]) if given else None


_MODES: Mapping[str, str] = {
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "VALIDATED": "auto",
    "ANY": "required",
    "NONE": "none",
}


def _tool_choice(body: Body) -> tuple[str, list[str]]:
    """(the choice, the functions it is among where they are named)."""
    config = member(member(body, "toolConfig"), "functionCallingConfig", "toolConfig.")
    where = "toolConfig.functionCallingConfig."
    mode = want(config, "mode", str, "AUTO", where)
    if mode.upper() not in _MODES:
        malformed(f"Invalid value for '{where}mode'. Use AUTO, ANY, VALIDATED or NONE.", where + "mode")
    names = [expect(name, str, where) for name in want(config, "allowedFunctionNames", list, [], where)]
    choice = _MODES[mode.upper()]
    return (f"={names[0]}" if choice == "required" and len(names) == 1 else choice), names


def _schema(config: Body) -> OutputSchema | None:
    keys = ("responseSchema", "responseJsonSchema", "_responseJsonSchema")
    schema = _one_of(config, keys, "generationConfig.")
    return None if schema is None else OutputSchema("", schema)


def _json_schemas(body: Body) -> list[str]:
    """The functions whose parameters are given as a JSON schema, not in Gemini's own."""
    functions = (function for item in several(body, "tools") for function in several(item, "functionDeclarations"))
    return [function["name"] for function in functions if function.get("parametersJsonSchema") is not None]


def _extra(config: Body, allowed: list[str], json_schemas: list[str]) -> dict[str, Json]:
    where = "generationConfig."
    thinking = member(config, "thinkingConfig", where)
    found = {
        "allowed_functions": allowed,
        "json_schemas": list[Json](json_schemas),
        "media_resolution": want(config, "mediaResolution", str, "", where),
        "modalities": want(config, "responseModalities", list, [], where),
        "thinking_budget": thinking.get("thinkingBudget"),
        "thinking_level": want(thinking, "thinkingLevel", str, "", where + "thinkingConfig."),
    }
    # A thinking budget of 0 is a word of its own: no thinking.
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def amend(body: bytes, call: Call, amendment: Amendment) -> bytes:
    """The request with `maxOutputTokens` set in the client's own spelling, and the oldest turns left
    out.  The model is named by the path, and by the body only where the client repeats it there."""
    sent = decode(body)
    changes: Changes = {}
    if amendment.max_output is not None:
        changes[_limit_path(sent)] = amendment.max_output
    if amendment.model is not None and "model" in sent:
        changes["model"] = f"models/{amendment.model}"
    if amendment.drop_turns and isinstance(sent["contents"], list):
        body = keep_items(body, "contents", kept(_roles(call), amendment.drop_turns))
    return splice(body, changes)


def _limit_path(sent: Body) -> tuple[str, str]:
    config = "generation_config" if "generation_config" in sent else "generationConfig"
    inside = sent.get(config) or {}
    snake = "max_output_tokens" in inside or (config == "generation_config" and "maxOutputTokens" not in inside)
    return config, "max_output_tokens" if snake else "maxOutputTokens"


def _roles(call: Call) -> list[Role]:
    """Roles of `contents`, with what tools answered told apart from what a user said."""
    said = [m for m in call.messages if m.role != "system"]
    return ["tool" if any(isinstance(p, ToolResult) for p in m.parts) else m.role for m in said]


_STATUS: Mapping[Reason, str] = {
    "malformed": "INVALID_ARGUMENT",
    "too_large": "INVALID_ARGUMENT",
    "unsupported_media": "INVALID_ARGUMENT",
    "context_length": "INVALID_ARGUMENT",
    "budget": "RESOURCE_EXHAUSTED",
    "rate": "RESOURCE_EXHAUSTED",
    "model_not_allowed": "PERMISSION_DENIED",
    "unpriced_model": "PERMISSION_DENIED",
    "unknown_key": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "unmetered": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "store_down": "UNAVAILABLE",
    "provider_down": "UNAVAILABLE",
    "stopping": "UNAVAILABLE",
}


def refusal(error: Refused) -> Json:
    """A google.rpc.Status, the machine-readable part first among its details."""
    details: list[Json] = [{"@type": "weighbridge", **machine_part(error, rfc3339)}]
    if error.retry_after is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_after}s"})
    status = _STATUS[error.reason]
    return {"error": {"code": error.status, "message": _words(error), "status": status, "details": details}}


def _words(error: Refused) -> str:
    """SDKs and LiteLLM know a full context window by these words."""
    counted, limit = error.counted, error.limit
    if error.reason != "context_length" or counted is None or limit is None or counted <= limit:
        return error.message
    return f"The input token count ({counted}) exceeds the maximum number of tokens allowed ({limit})."


DIALECT = Dialect(
    NAME,
    parse=parse,
    usage=usage,
    meter=meter,
    amend=amend,
    closing=gemini_closing.Candidates,
    refusal=refusal,
    count_reply=lambda tokens: {"totalTokens": tokens},
    parse_count=parse_count,
)
