"""What LiteLLM's answers say was used, in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import CutOff, Ending, Json, Reported, Usage

NO_USAGE: Final = "no usage reported"


class Metered(Protocol):
    """An answer that was metered: a `Meter`, or an `Outbound`."""

    def seen(self) -> CutOff: ...

    def ending(self, cut: str) -> Ending: ...


def ending(answer: Metered, cut: str) -> Ending:
    """How a metered answer ended; where nobody reported, what went by counts."""
    ended = answer.ending(cut)
    if isinstance(ended, Reported) and _reported(ended.usage) is None:
        return replace(answer.seen(), reason=NO_USAGE)
    return ended


def in_answer(answer: Any, dialect: str) -> Usage | None:
    """The usage in an answer LiteLLM hands to a hook: an object of its own, or the provider's JSON."""
    own = plain(getattr(answer, "usage", None))
    if own is not None and "prompt_tokens" in own:
        return in_litellm(own, getattr(answer, "service_tier", None))
    document = plain(answer)
    if document is None:
        return None
    told = document.get("usage")
    if isinstance(told, Mapping) and "prompt_tokens" in told:
        return in_litellm(told, document.get("service_tier"))
    return _reported(DIALECTS[dialect].usage(document))


def in_litellm(told: Mapping[str, Json], tier: Json = None) -> Usage | None:
    """LiteLLM's own usage: OpenAI's names, whoever was asked; inclusive like ours."""
    if not told.get("total_tokens"):
        return None  # it fills in noughts where nobody reported
    prompt, answer = _part(told, "prompt_tokens_details"), _part(told, "completion_tokens_details")
    written = _count(prompt, "cache_creation_tokens") or _count(told, "cache_creation_input_tokens")
    hour = _count(_part(prompt, "cache_creation_token_details"), "ephemeral_1h_input_tokens")
    return Usage(
        input=_count(told, "prompt_tokens"),
        output=_count(told, "completion_tokens"),
        cache_read=_count(prompt, "cached_tokens") or _count(told, "cache_read_input_tokens"),
        cache_write=max(0, written - hour),
        cache_write_1h=hour,
        reasoning=_count(answer, "reasoning_tokens"),
        audio_input=_count(prompt, "audio_tokens"),
        audio_output=_count(answer, "audio_tokens"),
        tier=tier if isinstance(tier, str) else "",
    )


def _reported(found: Usage | None) -> Usage | None:
    """A usage that somebody reported: LiteLLM fills in noughts where nobody did."""
    return found if found is not None and (found.input or found.output) else None


def plain(answer: Any) -> Mapping[str, Json] | None:
    """An answer as JSON would show it; None for what is none."""
    if isinstance(answer, Mapping):
        return answer
    if not hasattr(answer, "model_dump"):
        return None
    document: Mapping[str, Json] = answer.model_dump(mode="json", by_alias=True, exclude_none=True, warnings=False)
    return document


def _part(told: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    part = told.get(name)
    return part if isinstance(part, Mapping) else {}


def _count(told: Mapping[str, Json], name: str) -> int:
    value = told.get(name)
    return value if isinstance(value, int) else 0
