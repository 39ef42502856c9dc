"""What the LiteLLM plugin reads out of LiteLLM's words; none of it needs LiteLLM itself."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from weighbridge.adapters.litellm import usage
from weighbridge.adapters.litellm.request import amended, asked, encoded, principal, spoken
from weighbridge.core.model import Usage

TOLD: dict[str, tuple[dict[str, Any], Usage | None]] = {
    "plain": ({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}, Usage(3, 2)),
    "noughts are no report": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, None),
    "OpenAI's details": (
        {
            "prompt_tokens": 30, "completion_tokens": 20, "total_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": None},
            "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 1},
        },
        Usage(30, 20, cache_read=8, reasoning=12, audio_output=1),
    ),
    "Anthropic's cache": (
        {
            "prompt_tokens": 1250, "completion_tokens": 20, "total_tokens": 1270,
            "cache_creation_input_tokens": 50, "cache_read_input_tokens": 200,
            "prompt_tokens_details": {
                "cached_tokens": 200, "cache_creation_tokens": 50,
                "cache_creation_token_details": {"ephemeral_1h_input_tokens": 30},
            },
        },
        Usage(1250, 20, cache_read=200, cache_write=20, cache_write_1h=30),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), TOLD.values(), ids=TOLD)
def test_usage(told: dict[str, Any], expected: Usage | None) -> None:
    assert usage.in_litellm(told) == expected
    assert usage.in_answer({"usage": told}, "openai-chat") == expected


def test_usage_in_a_providers_own_words() -> None:
    answer = {"usage": {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 6}}
    assert usage.in_answer(answer, "anthropic-messages") == Usage(10, 2, cache_read=6)
    assert usage.in_answer("no answer at all", "anthropic-messages") is None


PATHS = {
    "/anthropic/v1/messages": "anthropic-messages",
    "/gemini/v1beta/models/gemini-2.5-flash:generateContent": "gemini-generate",
    "/there/and/beyond/v1/responses": "openai-responses",
    "/mistral/chat/completions": "openai-chat",
    "/rerank": None,
}


@pytest.mark.parametrize(("path", "dialect"), PATHS.items(), ids=PATHS)
def test_what_passes_through_is_known_by_its_path(path: str, dialect: str | None) -> None:
    found = spoken(path)
    assert (found and found.dialect) == dialect


def test_the_body_is_the_clients_as_the_hooks_before_us_left_it() -> None:
    sent = {"model": "alias", "messages": [1], "temperature": 1, "metadata": {"a": "b"}}
    data = {**sent, "messages": [2], "litellm_call_id": "x", "proxy_server_request": {"body": sent, "headers": {}}}
    found = asked(data, "acompletion", "/v1/chat/completions")
    assert found is not None
    body = json.loads(encoded(found, "real"))
    assert body == {"model": "real", "messages": [2], "temperature": 1}


def test_what_hooks_before_us_added_weighs_too() -> None:
    sent = {"model": "alias", "messages": [1]}
    data = {**sent, "tools": [2], "proxy_server_request": {"body": sent}}
    found = asked(data, "acompletion", "")
    assert found is not None and found.body == {**sent, "tools": [2]}


def test_gemini_is_named_by_its_path() -> None:
    data = {"model": "gem", "stream": True, "contents": [], "proxy_server_request": {"body": {"contents": []}}}
    found = asked(data, "agenerate_content_stream", "")
    assert found is not None and (found.model, found.stream) == ("gem", True)
    assert json.loads(encoded(found, "real")) == {"contents": []}


@pytest.mark.parametrize("call_type", ["aimage_generation", "arerank", "moderation", "call_mcp_tool"])
def test_other_calls_are_not_metered(call_type: str) -> None:
    assert asked({"model": "m"}, call_type, "/v1/images/generations") is None


def test_a_change_reaches_litellms_copy() -> None:
    data = {"model": "alias", "max_tokens": 500, "messages": []}
    found = asked(data, "acompletion", "")
    assert found is not None
    amended(data, found, b'{"model":"real","max_tokens":50,"messages":[]}')
    assert data == {"model": "alias", "max_tokens": 50, "messages": []}


FIELDS = ("org_id", "team_id", "team_alias", "user_id", "key_alias", "token", "api_key", "end_user_id", "metadata")


def user(**known: Any) -> Any:
    return SimpleNamespace(**{**dict.fromkeys(FIELDS), **known})


def test_names_before_ids() -> None:
    who = principal(user(org_id="o", team_id="t", team_alias="research", user_id="u", key_alias="laptop"), {})
    assert (who.org, who.team, who.user, who.key) == ("o", "research", "u", "laptop")


def test_a_key_without_a_name_is_never_shown() -> None:
    who = principal(user(api_key="sk-secret"), {})
    assert who.key is not None and "secret" not in who.key and len(who.key) == 16
    assert principal(user(), {}).key is None
    assert principal(user(token="ab" * 32, api_key="ab" * 32), {}).key == "ab" * 8


def test_tags_of_the_key_win() -> None:
    data = {
        "metadata": {"user_id": "somebody"},
        "litellm_metadata": {"tags": ["plan=bronze", "run:42", "nightly"]},
        "proxy_server_request": {"headers": {"x-weighbridge-tags": "feature=search,run=41"}},
    }
    who = principal(user(end_user_id="eve", metadata={"tags": ["plan=gold"]}), data)
    assert dict(who.tags) == {"plan": "gold", "run": "42", "nightly": "true", "feature": "search", "end_user": "eve"}
