"""What OpenAI and those who speak its formats say they used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.core.dialects.answer import amount, inner
from weighbridge.core.model import Json, Usage

STANDARD_TIERS = frozenset({"default", "auto", "standard", "on_demand"})
"""Words for the service tier that has no price of its own."""
INPUT = ("prompt_tokens", "input_tokens")
OUTPUT = ("completion_tokens", "output_tokens")
INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "prompt_token_details", "input_token_details")
OUTPUT_DETAILS = (
    "completion_tokens_details",
    "output_tokens_details",
    "completion_token_details",
    "output_token_details",
)
CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
"""Beside the report's details, where DeepSeek, Moonshot and Mistral say what a cache served."""


def usage(answer: Json) -> Usage | None:
    """Usage in an answer or in an event of its stream, in the words of any of the four formats."""
    if not isinstance(answer, Mapping):
        return None
    holder = inner(answer, "response") or answer
    report = inner(holder, "usage") or inner(inner(holder, "x_groq"), "usage")
    prompt, output = amount(report, *INPUT), amount(report, *OUTPUT)
    if prompt is None and output is None:
        # Voyage's embeddings: the total is all there is.
        prompt = amount(report, "total_tokens")
        if prompt is None:
            return None
    ins, outs = inner(report, *INPUT_DETAILS), inner(report, *OUTPUT_DETAILS)
    cached = amount(ins, "cached_tokens")
    return Usage(
        input=prompt or 0,
        output=output or 0,
        cache_read=(amount(report, *CACHED) if cached is None else cached) or 0,
        cache_write=amount(ins, "cache_write_tokens") or 0,
        reasoning=amount(outs, "reasoning_tokens") or 0,
        audio_input=amount(ins, "audio_tokens") or 0,
        audio_output=amount(outs, "audio_tokens") or 0,
        tier=_served(holder.get("service_tier")),
        searches=_searches(holder),
    )


def _searches(answer: Mapping[str, Any]) -> int:
    """Items of a response, and the models of chat that search for every answer."""
    items = answer.get("output")
    made = [item for item in items if _is_search(item)] if isinstance(items, list) else []
    return len(made) or int("-search-preview" in str(answer.get("model")))


def _is_search(item: Json) -> bool:
    return isinstance(item, Mapping) and item.get("type") == "web_search_call" and item.get("status") != "failed"


def _served(word: Json) -> str:
    """The tier an answer names, the standard one too: it may be another than was asked for."""
    return word if isinstance(word, str) and word != "auto" else ""


def tier(word: Json) -> str:
    """A service tier, asked for or served; "" for the standard one."""
    return word if isinstance(word, str) and word not in STANDARD_TIERS else ""


def without_choices(event: Mapping[str, Any]) -> bool:
    """The chunk that `stream_options.include_usage` adds: usage, and no choice beside it."""
    return event.get("choices") == [] and isinstance(event.get("usage"), Mapping)


def at_the_end(event: Mapping[str, Any]) -> bool:
    """Usage of the whole answer: with no choice, or with one that has come to its end.  Some hosts
    report as they go, and then the report grows."""
    choices = event.get("choices")
    if not isinstance(choices, list) or not choices:
        return True
    return any(isinstance(choice, Mapping) and choice.get("finish_reason") for choice in choices)
