"""Requests to providers' own addresses: which are metered, which cost nothing, and whose words refuse the rest."""

from __future__ import annotations

import pytest

from weighbridge.core.dialects.addresses import at_provider, runs_no_model, spoken

METERED = {
    "openai": ("/v1/chat/completions", "openai-chat", None),
    "groq": ("/openai/v1/responses", "openai-responses", None),
    "openrouter": ("/api/v1/completions", "openai-completions", None),
    "azure": ("/openai/deployments/gpt-4o/embeddings", "openai-embeddings", None),
    "anthropic": ("/v1/messages", "anthropic-messages", None),
    "behind a proxy": ("/anthropic/v1/messages", "anthropic-messages", None),
    "gemini": ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini-generate", "gemini-2.5-flash"),
    "gemini, openai's way": ("/v1beta/openai/chat/completions", "openai-chat", None),
    "vertex": (
        "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
        "gemini-generate",
        "gemini-2.5-pro",
    ),
    "pangu": ("/v1/p-1/deployments/d-1/chat/completions", "pangu-chat", "d-1"),
}


@pytest.mark.parametrize(("path", "dialect", "model"), METERED.values(), ids=METERED)
def test_metered(path: str, dialect: str, model: str | None) -> None:
    found = at_provider("POST", path)
    assert found is not None
    assert (found.route.dialect, found.route.kind, found.route.model) == (dialect, "generate", model)
    assert found.path.startswith("/v1")


COUNTS = ("/v1/messages/count_tokens", "/openai/v1/responses/input_tokens", "/v1beta/models/g:countTokens")


@pytest.mark.parametrize("path", COUNTS)
def test_counted(path: str) -> None:
    found = at_provider("POST", path)
    assert found is not None and found.route.kind == "count"


FREE = (
    ("GET", "/v1/responses/resp_1"),
    ("DELETE", "/v1/files/f_1"),
    ("POST", "/v1/files"),
    ("POST", "/upload/v1beta/files"),
    ("POST", "/v1/vector_stores/vs_1/files"),
    ("POST", "/v1/moderations"),
    ("POST", "/v1/threads"),
    ("POST", "/v1/threads/t_1/messages"),
    ("POST", "/v1/chat/completions/c_1"),
    ("POST", "/v1/messages/batches/b_1/cancel"),
    ("POST", "/v1beta/batches/b_1:cancel"),
)
COSTLY = {
    "/v1/threads/t_1/runs": "openai-chat",
    "/v1/threads/runs": "openai-chat",
    "/v1/batches": "openai-chat",
    "/v1/images/generations": "openai-chat",
    "/v1/fine_tuning/jobs": "openai-chat",
    "/v1/complete": "anthropic-messages",
    "/v1/messages/batches": "anthropic-messages",
    "/model/anthropic.claude/converse": "anthropic-messages",
    "/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict": "anthropic-messages",
    "/v1beta/models/g:batchGenerateContent": "gemini-generate",
    "/v1beta/models/imagen-4:predict": "gemini-generate",
}


@pytest.mark.parametrize(("method", "path"), FREE)
def test_runs_no_model(method: str, path: str) -> None:
    assert at_provider(method, path) is None and runs_no_model(method, path)


@pytest.mark.parametrize(("path", "dialect"), COSTLY.items())
def test_cannot_be_metered(path: str, dialect: str) -> None:
    assert at_provider("POST", path) is None and not runs_no_model("POST", path)
    assert spoken(path) == dialect
