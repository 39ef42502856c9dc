"""The same requests, weighed by LiteLLM's own limiter and by us, beside each other: the table in docs/litellm.md."""

from __future__ import annotations

from typing import Any

import pytest

from proxied.conftest import Rig

LIMIT = 1_000_000
WORDS = "lorry weighs seven tonnes today " * 200
HI: Any = [{"role": "user", "content": "hi"}]
FIELDS = {f"p{n}": {"type": "string", "description": "lorry weighs seven tonnes today " * 4} for n in range(50)}
SCHEMA: Any = {"type": "object", "properties": FIELDS}
CHAT = "/v1/chat/completions"
TOOL = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
FORM = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
CLAUDE: Any = {"model": "claude", "messages": HI, "max_tokens": 100}
ANSWER = 100

UNSEEN: dict[str, tuple[str, dict[str, Any]]] = {
    "tools": (CHAT, {"model": "fast", "messages": HI, "max_tokens": ANSWER, "tools": [TOOL]}),
    "a schema": (CHAT, {"model": "fast", "messages": HI, "max_tokens": ANSWER, "response_format": FORM}),
    "a system prompt": ("/v1/messages", {**CLAUDE, "system": WORDS}),
    "instructions": (
        "/v1/responses",
        {"model": "fast", "input": "hi", "instructions": WORDS, "max_output_tokens": 100},
    ),
}


def side_by_side(rig: Rig, path: str, body: dict[str, Any], key: str) -> tuple[int, int]:
    """(prompt tokens LiteLLM's limiter took, prompt tokens we counted)."""
    with rig.client(f"metered-{key}") as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    taken = LIMIT - int(answer.headers["x-ratelimit-api_key-remaining-tokens"])
    return taken - ANSWER, int(answer.headers["x-weighbridge-input-tokens"])


@pytest.mark.parametrize(("name", "path", "body"), [(n, *c) for n, c in UNSEEN.items()], ids=UNSEEN)
def test_what_litellms_limiter_does_not_see(name: str, path: str, body: dict[str, Any], rig: Rig) -> None:
    theirs, ours = side_by_side(rig, path, body, name.replace(" ", "-"))
    assert theirs == 1 and ours > 1000


def test_plain_text_is_a_quarter_of_its_characters_there(rig: Rig) -> None:
    body = {"model": "fast", "messages": [{"role": "user", "content": WORDS}], "max_tokens": ANSWER}
    theirs, ours = side_by_side(rig, CHAT, body, "text")
    assert theirs == len(WORDS) // 4 and 1190 < ours < 1220


def test_what_passes_through_is_not_counted_there(rig: Rig) -> None:
    body = {**CLAUDE, "model": "claude-haiku-4-5", "messages": [{"role": "user", "content": WORDS}]}
    with rig.client("metered-passed") as client:
        answer = client.post("/anthropic/v1/messages", json=body)
    assert "x-ratelimit-api_key-remaining-tokens" not in answer.headers
    assert int(answer.headers["x-weighbridge-input-tokens"]) > 1000
