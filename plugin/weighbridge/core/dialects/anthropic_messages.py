"""Anthropic's Messages API: `POST /v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from weighbridge.core.dialects import anthropic_blocks as blocks
from weighbridge.core.dialects import anthropic_closing
from weighbridge.core.dialects.answer import meter
from weighbridge.core.dialects.anthropic_usage import READER, usage
from weighbridge.core.dialects.base import Amendment, Dialect, Meter
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
from weighbridge.core.model import Call, Json, Message, OutputSchema, RawCall, Role, Tool

NAME = "anthropic-messages"
Body = Mapping[str, Any]


def parse(raw: RawCall) -> Call:
    """A request to generate.  `max_tokens` is required, as the provider requires it."""
    call = parse_count(raw)
    if call.max_output is None:
        malformed("max_tokens: Field required", "max_tokens")
    return call


def parse_count(raw: RawCall) -> Call:
    """A request to count, or to generate, with or without `max_tokens`."""
    body = decode(raw.body)
    most = _most(body)
    budget, thinking = _thinking(body)
    return Call(
        NAME,
        model_of(body, raw.model),
        _messages(body),
        _tools(body),
        tool_choice=_tool_choice(body),
        schema=_schema(body),
        max_output=most,
        # With interleaved thinking the budget may exceed max_tokens: then nothing can be lowered.
        least_output=budget + 1 if most is None else min(budget + 1, most),
        stream=want(body, "stream", bool, False) if raw.stream is None else raw.stream,
        generates=most != 0,
        caches=_caches(body, raw.body),
        extra={**thinking, **_extra(body)},
    )


def _caches(body: Body, sent: bytes) -> Literal["", "5m", "1h"]:
    """How long the prompt may be kept."""
    if not everywhere(body, "cache_control", sent):
        return ""
    return "1h" if "1h" in everywhere(body, "ttl", sent) else "5m"


def _most(body: Body) -> int | None:
    """`max_tokens`.  0 is allowed: it fills the prompt cache and generates nothing."""
    value = body.get("max_tokens")
    return 0 if type(value) is int and value == 0 else positive_int(body, "max_tokens")


def _messages(body: Body) -> tuple[Message, ...]:
    system = body.get("system")
    turns = objects(body, "messages")
    if not turns:
        malformed("messages: at least one message is required", "messages")
    first = () if system is None else (Message("system", blocks.content(system, "system")),)
    return (*first, *(_message(turn, f"messages.{i}.") for i, turn in enumerate(turns)))


_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}


def _message(turn: Body, where: str) -> Message:
    role = _ROLES.get(need(turn, "role", str, where))
    if role is None:
        malformed(f"{where}role: Input should be 'user', 'assistant' or 'system'", where + "role")
    return Message(role, blocks.content(turn.get("content"), where + "content"))


def _tools(body: Body) -> tuple[Tool, ...]:
    own = (_tool(tool, f"tools.{i}.") for i, tool in enumerate(objects(body, "tools")))
    # Their tools are listed to the provider by another server; only the names of the servers are here.
    servers = enumerate(objects(body, "mcp_servers"))
    return (*own, *(Tool(need(server, "name", str, f"mcp_servers.{i}."), server="mcp") for i, server in servers))


def _tool(tool: Body, where: str) -> Tool:
    kind = want(tool, "type", str, "custom", where)
    if kind != "custom":
        return Tool(want(tool, "name", str, kind, where), server=kind)
    return Tool(
        need(tool, "name", str, where),
        want(tool, "description", str, "", where),
        need(tool, "input_schema", dict, where),
        strict=want(tool, "strict", bool, False, where),
    )


_CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}


def _tool_choice(body: Body) -> str:
    choice = want(body, "tool_choice", dict, {"type": "auto"})
    kind = need(choice, "type", str, "tool_choice.")
    if kind == "tool":
        return "=" + need(choice, "name", str, "tool_choice.")
    if kind not in _CHOICES:
        malformed("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'", "tool_choice.type")
    return _CHOICES[kind]


def _schema(body: Body) -> OutputSchema | None:
    """`output_config.format`, or its older name `output_format`."""
    config = want(body, "output_config", dict, {})
    form = want(config, "format", dict, {}, "output_config.")
    where = "output_config.format."
    if not form:
        form, where = want(body, "output_format", dict, {}), "output_format."
    return OutputSchema("", need(form, "schema", dict, where)) if form else None


def _thinking(body: Body) -> tuple[int, dict[str, Json]]:
    """(tokens reserved for thinking, what counting needs to know of it)."""
    thinking = want(body, "thinking", dict, {})
    if not thinking:
        return 0, {}
    kind = need(thinking, "type", str, "thinking.")
    if kind != "enabled":
        return 0, {"thinking": kind}
    need(thinking, "budget_tokens", int, "thinking.")
    budget = positive_int(thinking, "budget_tokens", "thinking.") or 0
    return budget, {"thinking": kind, "thinking_budget": budget}


def _extra(body: Body) -> dict[str, Json]:
    """Beside thinking: what changes a prompt or a bill, without being in the prompt."""
    want(body, "service_tier", str, "")
    config = want(body, "output_config", dict, {})
    management = want(body, "context_management", dict, {})
    edits = objects(management, "edits", "context_management.")
    found = {
        "effort": want(config, "effort", str, "", "output_config."),
        "task_budget": config.get("task_budget") is not None,
        "speed": want(body, "speed", str, ""),
        "deferred_tools": [t["name"] for t in objects(body, "tools") if t.get("defer_loading") and "name" in t],
        "context_edits": [need(e, "type", str, f"context_management.edits.{i}.") for i, e in enumerate(edits)],
        "container": body.get("container") is not None,
        "fallbacks": bool(body.get("fallbacks")),
    }
    return {key: value for key, value in found.items() if value}


def amend(body: bytes, call: Call, amendment: Amendment) -> bytes:
    """The request with `max_tokens` and `model` set, and the oldest turns left out."""
    changes: Changes = {}
    if amendment.max_output is not None:
        changes["max_tokens"] = amendment.max_output
    if amendment.model is not None:
        changes["model"] = amendment.model
    if amendment.drop_turns:
        said = speakers(_message(turn, "") for turn in decode(body)["messages"])
        body = keep_items(body, "messages", kept(said, amendment.drop_turns))
    return splice(body, changes)


_TYPES: Mapping[Reason, str] = {
    "malformed": "invalid_request_error",
    "too_large": "request_too_large",
    "unsupported_media": "invalid_request_error",
    "context_length": "invalid_request_error",
    "budget": "rate_limit_error",
    "rate": "rate_limit_error",
    "model_not_allowed": "permission_error",
    "unpriced_model": "permission_error",
    "unknown_key": "authentication_error",
    "forbidden": "permission_error",
    "unmetered": "permission_error",
    "not_found": "not_found_error",
    "store_down": "overloaded_error",
    "provider_down": "api_error",
    "stopping": "overloaded_error",
}


def refusal(error: Refused) -> Json:
    """An `error` object of this API, the machine-readable part under `error.weighbridge`."""
    part = machine_part(error, rfc3339)
    return {
        "type": "error",
        "error": {"type": _TYPES[error.reason], "message": _words(error), "weighbridge": part},
        "request_id": None,
    }


def _words(error: Refused) -> str:
    """SDKs and LiteLLM know a full context window by these words."""
    counted, limit = error.counted, error.limit
    if error.reason != "context_length" or counted is None or limit is None or counted <= limit:
        return error.message
    return f"prompt is too long: {counted} tokens > {limit} maximum"


def _meter(call: Call, headers: Mapping[str, str]) -> Meter:
    return meter(READER, headers)


DIALECT = Dialect(
    NAME,
    parse=parse,
    usage=usage,
    meter=_meter,
    amend=amend,
    closing=anthropic_closing.Message,
    refusal=refusal,
    count_reply=lambda tokens: {"input_tokens": tokens},
    parse_count=parse_count,
)
