"""Usage in Gemini's answers.  Every chunk of a stream may carry `usageMetadata`: cumulative, and the
prompt's count may still change with the last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weighbridge.core.dialects import answer
from weighbridge.core.dialects.answer import Reader, amount, inner, keys
from weighbridge.core.dialects.base import Meter
from weighbridge.core.dialects.gemini_array import ArrayMeter
from weighbridge.core.model import Call, Json, Usage

_WRITTEN = keys("text", "code", objects=("args",))
_MARK = re.compile(rb'"(?:usage_?[Mm]etadata|finish_?[Rr]eason|error)"\s*+:')
_TIERS: Mapping[str, str] = {
    "flex": "flex",
    "priority": "priority",
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
}


def tier(word: str) -> str:
    """A service tier or traffic type, asked for or served; "" for the standard one."""
    return _TIERS.get(word.lower().removeprefix("service_tier_"), "")


def _served(word: Json) -> str:
    """The tier an answer names, the standard one too: it may be another than was asked for."""
    return (tier(word) or "standard") if isinstance(word, str) else ""


def usage(event: Json) -> Usage | None:
    """Usage of a whole answer, or of one chunk.  Counts of zero are left out by the provider."""
    if not isinstance(event, Mapping):
        return None
    found = inner(event, "usageMetadata", "usage_metadata")
    if not found:
        return None
    thoughts = amount(found, "thoughtsTokenCount") or 0
    return Usage(
        input=amount(found, "promptTokenCount") or 0,
        output=(amount(found, "candidatesTokenCount") or 0) + thoughts,
        cache_read=amount(found, "cachedContentTokenCount") or 0,
        reasoning=thoughts,
        audio_input=_audio(found, "promptTokensDetails"),
        audio_output=_audio(found, "candidatesTokensDetails"),
        tool_input=amount(found, "toolUsePromptTokenCount") or 0,
        tier=_served(found.get("serviceTier") or found.get("trafficType")),
        searches=_searches(event),
    )


def _searches(event: Mapping[str, Any]) -> int:
    """Queries that an answer is grounded in: before Gemini 3 all of a prompt's are billed as one."""
    found = event.get("candidates")
    rows = (
        [inner(row, "groundingMetadata") for row in found if isinstance(row, Mapping)]
        if isinstance(found, list)
        else []
    )
    queries = sum(len(row["webSearchQueries"]) for row in rows if isinstance(row.get("webSearchQueries"), list))
    return queries if str(event.get("modelVersion")).startswith("gemini-3") else min(1, queries)


def _audio(found: Mapping[str, Any], key: str) -> int:
    details = found.get(key)
    rows = details if isinstance(details, list) else []
    return sum(amount(row, "tokenCount") or 0 for row in rows if _is_audio(row))


def _is_audio(row: Json) -> bool:
    return isinstance(row, Mapping) and row.get("modality") == "AUDIO"


class Candidates:
    """One answer's candidates: the usage they add up to, and which have come to their end."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._ended: set[Any] = set()

    def merge(self, known: Usage | None, fresh: Usage | None, event: Mapping[str, Any]) -> Usage | None:
        """The later report wins, field by field; a field left out keeps what was known."""
        self._note(event)
        if known is None or fresh is None:
            return fresh or known
        visible = (fresh.output - fresh.reasoning) or (known.output - known.reasoning)
        reasoning = fresh.reasoning or known.reasoning
        return Usage(
            input=fresh.input or known.input,
            output=visible + reasoning,
            cache_read=fresh.cache_read or known.cache_read,
            reasoning=reasoning,
            audio_input=fresh.audio_input or known.audio_input,
            audio_output=fresh.audio_output or known.audio_output,
            tool_input=fresh.tool_input or known.tool_input,
            tier=fresh.tier or known.tier,
            searches=max(fresh.searches, known.searches),
        )

    def final(self, event: Mapping[str, Any]) -> bool:
        """All candidates have said why they finished."""
        return len(self._ended) >= self._wanted

    def _note(self, event: Mapping[str, Any]) -> None:
        found = event.get("candidates")
        for candidate in found if isinstance(found, list) else []:
            if isinstance(candidate, dict) and (candidate.get("finishReason") or candidate.get("finish_reason")):
                self._ended.add(str(candidate.get("index", 0)))


def _error(event: Mapping[str, Any]) -> str:
    error = inner(event, "error")
    return "" if not error else f"provider error {error.get('status')}: {error.get('message')}"[:200]


def meter(call: Call, headers: Mapping[str, str]) -> Meter:
    """A meter for a plain body, for server-sent events, or for a streamed array."""
    candidates = Candidates(call.choices)
    reader = Reader(
        usage=usage,
        written=_WRITTEN,
        streamed=_WRITTEN,
        mark=_MARK,
        merge=candidates.merge,
        final=candidates.final,
        broken=_error,
        open_ended=True,
    )
    if call.stream and not headers.get("content-type", "").lower().startswith("text/event-stream"):
        return ArrayMeter(reader, headers)
    return answer.meter(reader, headers)
