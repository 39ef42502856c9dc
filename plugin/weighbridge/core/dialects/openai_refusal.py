"""Refusals and count answers in OpenAI's words."""

from __future__ import annotations

from collections.abc import Mapping

from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.errors import Reason, Refused, machine_part
from weighbridge.core.model import Json

INVALID = "invalid_request_error"
WORDS: Mapping[Reason, tuple[str, str | None]] = {
    "malformed": (INVALID, None),
    "too_large": (INVALID, "request_too_large"),
    "unsupported_media": (INVALID, "unsupported_media_type"),
    "context_length": (INVALID, "context_length_exceeded"),
    "budget": ("insufficient_quota", "insufficient_quota"),
    "rate": ("requests", "rate_limit_exceeded"),
    "model_not_allowed": (INVALID, "model_not_found"),
    "unpriced_model": (INVALID, "model_not_found"),
    "unknown_key": (INVALID, "invalid_api_key"),
    "forbidden": (INVALID, "insufficient_permissions"),
    "unmetered": (INVALID, "unmetered_route"),
    "not_found": (INVALID, "not_found"),
    "store_down": ("server_error", "service_unavailable"),
    "provider_down": ("server_error", "bad_gateway"),
    "stopping": ("server_error", "service_unavailable"),
}
"""Reason -> the error's `type` and `code`."""
TOKENS = frozenset({"tokens", "input_tokens", "output_tokens"})


def refusal(error: Refused) -> Json:
    """A refusal's body."""
    kind, code = WORDS[error.reason]
    if error.reason == "rate" and any(obstacle.unit in TOKENS for obstacle in error.obstacles):
        kind = "tokens"
    return {
        "error": {
            "message": _message(error),
            "type": kind,
            "param": error.param,
            "code": code,
            "weighbridge": machine_part(error, rfc3339),
        }
    }


def _message(error: Refused) -> str:
    if error.reason != "context_length" or error.counted is None or error.limit is None:
        return error.message
    # The phrase by which agents and proxies recognise a full window and shorten their prompt.
    return (
        f"This model's maximum context length is {error.limit} tokens. However, your messages resulted in"
        f" {error.counted} tokens. {error.message}"
    )


def count_reply(tokens: int) -> Json:
    """A count, where the format has no count route of its own."""
    return {"input_tokens": tokens}
