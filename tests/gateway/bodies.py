"""A small request in every wire format, and how each says no."""

from __future__ import annotations

from typing import Any

import httpx

SAY: Any = [{"role": "user", "content": "Weigh."}]
GOOD: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"model": "gpt-4o-mini", "messages": SAY}),
    "openai-responses": ("/v1/responses", {"model": "gpt-4o-mini", "input": "Weigh."}),
    "openai-completions": ("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "Weigh.", "max_tokens": 9}),
    "openai-embeddings": ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Weigh."}),
    "anthropic-messages": ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": SAY}),
    "gemini-generate": (
        "/v1beta/models/gemini-2.5-flash:generateContent",
        {"contents": [{"parts": [{"text": "Weigh."}]}]},
    ),
}
"""Format -> (path, a body that passes)."""
PROMPT_FIELD = {
    "openai-chat": "messages",
    "openai-responses": "input",
    "openai-completions": "prompt",
    "openai-embeddings": "input",
    "anthropic-messages": "messages",
    "gemini-generate": "contents",
}
"""Format -> the field that holds the prompt."""


def with_prompt(format: str, words: str) -> dict[str, Any]:
    """The format's body with these words for a prompt."""
    prompts: dict[str, Any] = {
        "messages": [{"role": "user", "content": words}],
        "contents": [{"parts": [{"text": words}]}],
        "input": words,
        "prompt": words,
    }
    field = PROMPT_FIELD[format]
    return {**GOOD[format][1], field: prompts[field]}


def machine_part(format: str, answer: httpx.Response) -> dict[str, Any]:
    """The machine-readable part of a refusal; fails where its shape is not the dialect's own."""
    document = answer.json()
    error = document["error"]
    assert isinstance(error["message"], str) and error["message"]
    if format == "anthropic-messages":
        assert document["type"] == "error" and error["type"]
    elif format == "gemini-generate":
        assert error["code"] == answer.status_code and error["status"].isupper()
        return dict(error["details"][0])
    else:
        assert error["type"] and error.keys() >= {"message", "type", "param", "code"}
    return dict(error["weighbridge"])


def refused(format: str, answer: httpx.Response, status: int = 400, reason: str = "malformed") -> None:
    """Fails unless the answer is this refusal."""
    assert answer.status_code == status, answer.text[:300]
    assert machine_part(format, answer)["reason"] == reason
