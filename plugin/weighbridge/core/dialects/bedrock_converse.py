"""Amazon Bedrock's Converse API: `POST /model/{modelId}/converse` and `/converse-stream`.

Parsed, counted and settled; the gateway has no route for it, since its requests are signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from weighbridge.core.dialects import bedrock_blocks as blocks
from weighbridge.core.dialects.base import Amendment, Dialect
from weighbridge.core.dialects.bedrock_answer import meter, usage
from weighbridge.core.dialects.body import (
    decode,
    everywhere,
    malformed,
    model_of,
    need,
    objects,
    positive_int,
    rfc3339,
    want,
)
from weighbridge.core.dialects.splice import Changes, keep_items, splice
from weighbridge.core.dialects.turns import kept, speakers
from weighbridge.core.errors import Reason, Refused, machine_part
from weighbridge.core.model import Call, Json, Message, OutputSchema, RawCall, Role, Tool, Unseen

NAME = "bedrock-converse"
Body = Mapping[str, Any]


def parse(raw: RawCall) -> Call:
    """A request to generate.  Its path names the model and says whether the answer is streamed."""
    return _call(decode(raw.body), raw)


def parse_count(raw: RawCall) -> Call:
    """A request to count: a whole request, bare or in CountTokens' `input.converse`."""
    body = decode(raw.body)
    wrapped = want(want(body, "input", dict, {}), "converse", dict, None, "input.")
    return _call(body if wrapped is None else wrapped, raw)


def _call(body: Body, raw: RawCall) -> Call:
    config = want(body, "inferenceConfig", dict, {})
    tools = want(body, "toolConfig", dict, {})
    extra = _extra(body)
    budget = extra.get("thinking_budget", 0)
    most = positive_int(config, "maxTokens", "inferenceConfig.")
    return Call(
        NAME,
        # Boto takes the model beside the body; a recorded call may still hold it.
        model_of(body, raw.model or want(body, "modelId", str, None)),
        _messages(body),
        tuple(_tools(tools)),
        tool_choice=_choice(tools),
        schema=_schema(body),
        max_output=most,
        least_output=budget + 1 if most is None else min(budget + 1, most),
        stream=bool(raw.stream),
        tier=_tier(want(want(body, "serviceTier", dict, {}), "type", str, "", "serviceTier.")),
        caches=_caches(body, raw.body),
        extra=extra,
    )


def _messages(body: Body) -> tuple[Message, ...]:
    turns = objects(body, "messages")
    stored = want(body, "promptVariables", dict, None)
    if not turns and stored is None:
        malformed("messages: at least one message is required", "messages")
    prompt = () if stored is None else (Message("system", (Unseen("prompt stored under its ARN"),)),)
    system = objects(body, "system")
    first = (Message("system", blocks.content(system, "system")),) if system else ()
    return (*prompt, *first, *(_message(turn, f"messages[{i}].") for i, turn in enumerate(turns)))


_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def _message(turn: Body, where: str) -> Message:
    role = _ROLES.get(need(turn, "role", str, where))
    if role is None:
        malformed(f"{where}role: use 'user' or 'assistant'", where + "role")
    return Message(role, blocks.content(need(turn, "content", list, where), where + "content"))


def _tools(config: Body) -> Iterator[Tool]:
    for i, item in enumerate(objects(config, "tools", "toolConfig.")):
        where = f"toolConfig.tools[{i}]."
        if item.get("systemTool") is not None:
            name = need(need(item, "systemTool", dict, where), "name", str, where + "systemTool.")
            yield Tool(name, server=name)
        elif item.get("toolSpec") is not None:
            yield _tool(need(item, "toolSpec", dict, where), where + "toolSpec.")


def _tool(spec: Body, where: str) -> Tool:
    schema = want(need(spec, "inputSchema", dict, where), "json", dict, {}, where + "inputSchema.")
    description = want(spec, "description", str, "", where)
    return Tool(need(spec, "name", str, where), description, schema, strict=want(spec, "strict", bool, False, where))


def _choice(config: Body) -> str:
    where = "toolConfig.toolChoice."
    choice = want(config, "toolChoice", dict, {}, "toolConfig.")
    if choice.get("tool") is not None:
        return "=" + need(need(choice, "tool", dict, where), "name", str, where + "tool.")
    return "required" if choice.get("any") is not None else "auto"


def _schema(body: Body) -> OutputSchema | None:
    where = "outputConfig.textFormat."
    form = want(want(body, "outputConfig", dict, {}), "textFormat", dict, {}, "outputConfig.")
    found = want(want(form, "structure", dict, {}, where), "jsonSchema", dict, None, where + "structure.")
    if found is None:
        return None
    where += "structure.jsonSchema."
    words = need(found, "schema", str, where)
    try:
        schema = json.loads(words)
    except (ValueError, RecursionError) as error:
        malformed(f"{where}schema is not JSON ({error}). Give the schema as JSON text.", where + "schema")
    if not isinstance(schema, dict):
        malformed(f"{where}schema is not a JSON object. Give an object schema as JSON text.", where + "schema")
    name = want(found, "name", str, "", where)
    return OutputSchema(name, schema, want(found, "description", str, "", where))


def _extra(body: Body) -> dict[str, Json]:
    """Fields for one maker's models, under the names their own formats have here."""
    where = "additionalModelRequestFields."
    fields = want(body, "additionalModelRequestFields", dict, {})
    thinking = want(fields, "thinking", dict, {}, where) or want(fields, "reasoning_config", dict, {}, where)
    found = {
        "thinking": want(thinking, "type", str, "", where + "thinking."),
        "thinking_budget": positive_int(thinking, "budget_tokens", where + "thinking."),
        "effort": want(want(fields, "output_config", dict, {}, where), "effort", str, "", where + "output_config."),
        "reasoning_effort": want(fields, "reasoning_effort", str, "", where),
    }
    return {key: value for key, value in found.items() if value}


def _caches(body: Body, sent: bytes) -> Literal["", "5m", "1h"]:
    """How long the prompt may be kept."""
    if not everywhere(body, "cachePoint", sent):
        return ""
    return "1h" if "1h" in everywhere(body, "ttl", sent) else "5m"


def _tier(word: str) -> str:
    return "" if word in ("", "default", "reserved") else word


def amend(body: bytes, call: Call, amendment: Amendment) -> bytes:
    """The request with `inferenceConfig.maxTokens` set and the oldest turns left out.  The model is
    named by the path, and by the body only where a recorded call repeats it there."""
    changes: Changes = {}
    if amendment.max_output is not None:
        changes["inferenceConfig", "maxTokens"] = amendment.max_output
    if amendment.model is not None and "modelId" in decode(body):
        changes["modelId"] = amendment.model
    if amendment.drop_turns:
        said = speakers(_message(turn, "") for turn in decode(body)["messages"])
        body = keep_items(body, "messages", kept(said, amendment.drop_turns))
    return splice(body, changes)


_TYPES: Mapping[Reason, str] = {
    "malformed": "ValidationException",
    "too_large": "ValidationException",
    "unsupported_media": "ValidationException",
    "context_length": "ValidationException",
    "budget": "ServiceQuotaExceededException",
    "rate": "ThrottlingException",
    "model_not_allowed": "AccessDeniedException",
    "unpriced_model": "AccessDeniedException",
    "unknown_key": "UnrecognizedClientException",
    "forbidden": "AccessDeniedException",
    "unmetered": "AccessDeniedException",
    "not_found": "ResourceNotFoundException",
    "store_down": "ServiceUnavailableException",
    "provider_down": "ModelErrorException",
    "stopping": "ServiceUnavailableException",
}


def refusal(error: Refused) -> Json:
    """An exception as AWS's JSON protocol writes it, the machine-readable part under `error.weighbridge`."""
    part = machine_part(error, rfc3339)
    return {"__type": _TYPES[error.reason], "message": _words(error), "error": {"weighbridge": part}}


def _words(error: Refused) -> str:
    """Proxies know a full context window by these words."""
    counted, limit = error.counted, error.limit
    if error.reason != "context_length" or counted is None or limit is None or counted <= limit:
        return error.message
    return f"Input is too long for requested model: {counted} tokens > {limit} maximum."


DIALECT = Dialect(
    NAME,
    parse=parse,
    usage=usage,
    meter=meter,
    amend=amend,
    refusal=refusal,
    count_reply=lambda tokens: {"inputTokens": tokens},
    parse_count=parse_count,
)
