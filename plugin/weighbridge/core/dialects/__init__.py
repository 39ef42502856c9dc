"""Wire formats: one file a format, and the table of the routes that speak them."""

from __future__ import annotations

from collections.abc import Mapping

from weighbridge.core.dialects import (
    anthropic_messages,
    bedrock_converse,
    gemini_generate,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
    pangu_chat,
)
from weighbridge.core.dialects.base import Dialect
from weighbridge.core.dialects.routes import ROUTES, Route, route

__all__ = ["DIALECTS", "ROUTES", "Route", "route"]

DIALECTS: Mapping[str, Dialect] = {
    module.DIALECT.name: module.DIALECT
    for module in (
        openai_chat,
        openai_responses,
        openai_completions,
        openai_embeddings,
        anthropic_messages,
        gemini_generate,
        bedrock_converse,
        pangu_chat,
    )
}
"""Name of a wire format -> what it can do."""
