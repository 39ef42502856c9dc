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
from weighbridge.core.dialects.routes import ROUTES, Route, RouteOf, laid_over, route

__all__ = ["DIALECTS", "ROUTES", "Route", "added", "route"]

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


def added(own: Mapping[str, str]) -> RouteOf:
    """Routes of one's own (POST path -> wire format), before the usual ones: `{model}` stands for a model's
    name, `{anything}` for a part that says nothing, `{...:path}` for several.  Raises ValueError for a format
    nobody knows, and for a path nothing would match."""
    for dialect in own.values():
        if dialect not in DIALECTS:
            raise ValueError(f"{dialect!r} is no wire format; known are {', '.join(DIALECTS)}")
    return laid_over(own)
