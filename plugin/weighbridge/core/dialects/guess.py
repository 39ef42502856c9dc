"""Which wire format a body is in, where nobody said: by the fields only one format has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from weighbridge.core.model import Json

Body = Mapping[str, Any]

OPENAI_FIELDS = frozenset(
    (
        "max_completion_tokens",
        "response_format",
        "stream_options",
        "n",
        "logprobs",
        "seed",
        "reasoning_effort",
        "frequency_penalty",
        "functions",
    )
)
OPENAI_ROLES = frozenset(("developer", "tool", "function"))
OPENAI_BLOCKS = frozenset(("image_url", "input_audio", "file"))
ANTHROPIC_FIELDS = frozenset(
    ("system", "stop_sequences", "anthropic_version", "output_config", "mcp_servers", "container")
)
ANTHROPIC_BLOCKS = frozenset(("tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document"))
EMBEDDING_FIELDS = frozenset(("encoding_format", "dimensions"))
CONVERSE_FIELDS = frozenset(("inferenceConfig", "toolConfig", "additionalModelRequestFields", "modelId"))


def guess(body: Body) -> str | None:
    """The dialect of a request body; None where it looks like none."""
    return next((dialect for dialect, fits in RULES if fits(body)), None)


def _gemini(body: Body) -> bool:
    return "contents" in body or "generateContentRequest" in body


def _embeddings(body: Body) -> bool:
    """Texts (or token numbers) as input: a list of them, or one for a model named so."""
    if "input" not in body:
        return False
    first = next(iter(_list(body["input"])), None)
    return bool(EMBEDDING_FIELDS & body.keys()) or isinstance(first, str | int | list) or "embed" in _model(body)


def _responses(body: Body) -> bool:
    return "input" in body or "previous_response_id" in body


def _completions(body: Body) -> bool:
    return "prompt" in body and "messages" not in body


def _converse(body: Body) -> bool:
    """Bedrock's blocks are told by their one field, not by a `type`."""
    blocks = list(_blocks(body))
    return bool(CONVERSE_FIELDS & body.keys()) or bool(blocks and all("type" not in block for block in blocks))


def _openai_chat(body: Body) -> bool:
    """What only OpenAI's chat says; the rest of it can be Anthropic's as well."""
    messages = list(_objects(body.get("messages")))
    return bool(messages) and (
        bool(OPENAI_FIELDS & body.keys())
        or messages[0].get("role") == "system"
        or any(m.get("role") in OPENAI_ROLES or "tool_calls" in m for m in messages)
        or any(block.get("type") in OPENAI_BLOCKS for block in _blocks(body))
        or any("function" in tool for tool in _objects(body.get("tools")))
    )


def _anthropic(body: Body) -> bool:
    return "messages" in body and (
        bool(ANTHROPIC_FIELDS & body.keys())
        or _model(body).startswith("claude")
        or any("input_schema" in tool for tool in _objects(body.get("tools")))
        or any(block.get("type") in ANTHROPIC_BLOCKS for block in _blocks(body))
    )


def _some_chat(body: Body) -> bool:
    return "messages" in body


RULES: tuple[tuple[str, Callable[[Body], bool]], ...] = (
    ("gemini-generate", _gemini),
    ("openai-embeddings", _embeddings),
    ("openai-responses", _responses),
    ("openai-completions", _completions),
    ("bedrock-converse", _converse),
    ("openai-chat", _openai_chat),
    ("anthropic-messages", _anthropic),
    ("openai-chat", _some_chat),
)
"""(dialect, what gives it away); the first that fits holds."""


def _model(body: Body) -> str:
    return str(body.get("model") or "").lower()


def _blocks(body: Body) -> Iterator[dict[str, Any]]:
    return (block for m in _objects(body.get("messages")) for block in _objects(m.get("content")))


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Json) -> Iterator[dict[str, Any]]:
    return (item for item in _list(value) if isinstance(item, dict))
