"""Usage in Anthropic's answers: one object in a body; in streams one in `message_start` and one,
cumulative, in `message_delta`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weighbridge.core.dialects.answer import Reader, amount, inner, keys
from weighbridge.core.model import Json, Usage

_TIERS: Mapping[str, str] = {"priority": "priority", "batch": "batch", "standard": "standard"}


def usage(answer: Json) -> Usage | None:
    """Usage of a whole answer, or of one event."""
    found = _reported(answer)
    return None if found is None else _usage(found)


def _reported(answer: Json) -> Mapping[str, Any] | None:
    if not isinstance(answer, Mapping):
        return None
    found = inner(answer, "usage") or inner(inner(answer, "message"), "usage")
    return found if "input_tokens" in found or "output_tokens" in found else None


def _usage(found: Mapping[str, Any]) -> Usage:
    by_age = inner(found, "cache_creation")
    an_hour = _count(by_age, "ephemeral_1h_input_tokens")
    written = _count(found, "cache_creation_input_tokens")
    five_minutes = max(_count(by_age, "ephemeral_5m_input_tokens"), written - an_hour)
    read = _count(found, "cache_read_input_tokens")
    return Usage(
        input=_count(found, "input_tokens") + read + five_minutes + an_hour,
        output=_count(found, "output_tokens"),
        cache_read=read,
        cache_write=five_minutes,
        cache_write_1h=an_hour,
        reasoning=_count(inner(found, "output_tokens_details"), "thinking_tokens"),
        tier=_TIERS.get(str(found.get("service_tier")), ""),
        searches=_count(inner(found, "server_tool_use"), "web_search_requests"),
    )


def _count(found: Mapping[str, Any], key: str) -> int:
    return amount(found, key) or 0


def _merge(known: Usage | None, fresh: Usage | None, event: Mapping[str, Any]) -> Usage | None:
    """The later report wins, field by field, where it has the field and it is not null."""
    if known is None or fresh is None:
        return fresh or known
    later = {key: value for key, value in (_reported(event) or {}).items() if value is not None}
    return _usage({**_spelled(known), **later})


def _spelled(known: Usage) -> dict[str, Json]:
    """A usage in the provider's own fields again."""
    written = known.cache_write + known.cache_write_1h
    return {
        "input_tokens": known.input - known.cache_read - written,
        "output_tokens": known.output,
        "cache_read_input_tokens": known.cache_read,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_1h_input_tokens": known.cache_write_1h},
        "output_tokens_details": {"thinking_tokens": known.reasoning},
        "service_tier": known.tier,
        "server_tool_use": {"web_search_requests": known.searches},
    }


def _is_last(event: Mapping[str, Any]) -> bool:
    """`message_start` reports the prompt, and only a beginning of the output."""
    return event.get("type") != "message_start"


def _error(event: Mapping[str, Any]) -> str:
    if event.get("type") != "error":
        return ""
    error = inner(event, "error")
    return f"provider error {error.get('type')}: {error.get('message')}"[:200]


READER = Reader(
    usage=usage,
    written=keys("text", "thinking", objects=("input",)),
    streamed=keys("text", "thinking", "partial_json"),
    mark=re.compile(rb'"usage"\s*+:\s*+\{|"type"\s*+:\s*+"error"'),
    merge=_merge,
    final=_is_last,
    broken=_error,
)
