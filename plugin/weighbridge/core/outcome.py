"""The nouns of a call's end: what was used, and how sure that is.  They are named in `core.model`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Usage:
    """What the provider says a call used.  Buckets are inclusive: `input` contains the cached
    tokens, `output` the reasoning (Gemini's thoughts too)."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    """Written to a cache for five minutes (or without a stated time)."""
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    tool_input: int = 0
    """Prompt tokens of tool results the provider fetched itself (Gemini `toolUsePromptTokenCount`):
    billed as input, and not part of `input`."""
    tier: str = ""
    """Service tier the provider says it served, where it says so."""
    searches: int = 0
    """Searches of the web the provider made, where it charges for each."""


@dataclass(frozen=True, slots=True)
class Reported:
    """The provider said what was used: settle exactly."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class CutOff:
    """Tokens flowed, and nobody said how many: charge what was seen or, above it, counted."""

    reason: str
    partial: Usage | None = None
    """Usage reported before the end (Anthropic's `message_start`), a lower bound."""
    seen_bytes: int = 0
    """UTF-8 bytes of generated text, arguments and reasoning that went by."""
    seen_events: int = 0
    """Stream events that carried generated content."""
    text: str = field(default="", repr=False, compare=False)
    """The generated text, or an even part of it: for counting, and gone when that is done."""
    text_bytes: int = field(default=0, compare=False)
    """How many of `seen_bytes` that text stands for itself."""
    seen_calls: int = field(default=0, compare=False)
    """Calls of tools that went by."""
    seen_tokens: int | None = None
    """Tokens that went by, counted; None where nobody counted."""


@dataclass(frozen=True, slots=True)
class NeverSent:
    """Nothing was billed: never sent, or refused by the provider before its first byte."""

    reason: str


Ending = Reported | CutOff | NeverSent
