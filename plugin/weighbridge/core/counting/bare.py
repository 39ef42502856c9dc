"""Texts without a conversation: embeddings and plain completions bill the tokens of their inputs and nothing else."""

from __future__ import annotations

from weighbridge.core.counting import media
from weighbridge.core.counting.scale import Scale
from weighbridge.core.model import Call, Media, Text, Unseen

DIALECTS = frozenset({"openai-completions", "openai-embeddings"})


def fits(call: Call) -> bool:
    """Whether a call is texts only: by its format, or because its count route says so (Pangu's)."""
    return call.dialect in DIALECTS or "bare" in call.extra


def count(call: Call, scale: Scale) -> None:
    """Put the inputs on the scale.  Inputs given as token arrays were counted when parsed."""
    tokens = call.extra.get("prompt_tokens", 0)
    scale.add("messages", tokens if isinstance(tokens, int) else 0)
    for message in call.messages:
        for part in message.parts:
            if isinstance(part, Text):
                scale.text("messages", part.text)
            elif isinstance(part, (Media, Unseen)):
                media.reference(scale, part)
