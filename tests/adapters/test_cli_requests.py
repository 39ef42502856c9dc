from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from adapters.commands import CHAT, CHAT_TOKENS, Run, answer, one_line


def test_count_json_has_the_shape(run: Run) -> None:
    found = answer(run("count", "--json", stdin=json.dumps(CHAT)))
    assert list(found) == ["tokens", "upper", "method", "model", "dialect", "parts"]
    assert list(found["parts"]) == ["messages", "system", "tools", "media", "schema", "frame"]
    assert found["dialect"] == "openai-chat" and found["model"] == "gpt-4o"
    assert found["tokens"] == sum(found["parts"].values()) == CHAT_TOKENS
    assert found["upper"] >= found["tokens"]


def test_count_reads_a_file_a_dialect_and_a_model(run: Run, file: Callable[..., str]) -> None:
    body = file(json.dumps({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}), "body.json")
    found = answer(run("count", body, "--model", "gemini-2.5-flash", "--json"))
    assert (found["dialect"], found["model"]) == ("gemini-generate", "gemini-2.5-flash")
    assert f"{CHAT_TOKENS} tokens" in run("count", "--dialect", "openai-chat", stdin=json.dumps(CHAT)).stdout


def test_count_needs_no_store(run: Run) -> None:
    assert run("count", "--store", "redis://127.0.0.1:1", stdin=json.dumps(CHAT)).exit_code == 0


def test_count_remote_says_where_nobody_could_be_asked(run: Run) -> None:
    found = answer(run("count", "--remote", "--json", stdin=json.dumps(CHAT)))
    assert found["tokens"] == CHAT_TOKENS
    assert found["method"].endswith("offline: provider was not asked (it has no counter, or its key is not set)")


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "{}", "nonsense", '{"model":"gpt-4o","messages":3}', '{"contents":[]}', b"\xff\xfe", "[" * 9999],
)
def test_count_of_a_bad_body_is_one_line(run: Run, body: str | bytes) -> None:
    one_line(run("count", "--json", stdin=body))


def test_count_of_an_unknown_dialect_names_the_known(run: Run) -> None:
    one_line(run("count", "--dialect", "morse", stdin=json.dumps(CHAT)), "morse", "openai-chat", "--dialect")


VERDICT = {"decision", "reason", "estimate", "nano_usd", "scopes", "would_fit"}


def check(run: Run, body: dict[str, Any], *words: str) -> Result:
    return run("check", *words, "--json", stdin=json.dumps(body))


def test_check_admits_and_holds_nothing(run: Run, policies: None) -> None:
    before = answer(run("budget", "list", "--json"))
    found = answer(check(run, CHAT, "--team", "research"))
    assert found.keys() >= VERDICT
    assert (found["decision"], found["reason"]) == ("admit", None)
    assert found["estimate"]["tokens"] == CHAT_TOKENS
    assert {scope["policy"] for scope in found["scopes"]} == {"research-month", "at-once"}
    assert answer(run("budget", "list", "--json")) == before


def test_check_refuses_with_status_one(run: Run, policies: None) -> None:
    found = answer(check(run, CHAT, "--team", "support"), status=1)
    assert found.keys() >= VERDICT
    assert (found["decision"], found["reason"]) == ("refuse", "budget")
    assert found["scopes"][0]["policy"] == "tight"
    assert found["estimate"]["tokens"] == CHAT_TOKENS


def test_check_refuses_a_model_and_a_malformed_body(run: Run, policies: None) -> None:
    assert answer(check(run, CHAT, "--team", "interns"), status=1)["reason"] == "model_not_allowed"
    malformed = answer(check(run, {"model": "gpt-4o", "messages": 3}, "--dialect", "openai-chat"), status=1)
    assert (malformed["reason"], malformed["estimate"]) == ("malformed", None)


def test_check_clamps(run: Run, policies: None) -> None:
    found = answer(check(run, {**CHAT, "max_tokens": 200_000}, "--team", "research"))
    assert found["decision"] == "clamp"
    assert 0 < found["would_fit"]["max_tokens"] < 200_000


def test_check_takes_the_identity_of_a_key(run: Run, policies: None) -> None:
    run("key", "create", "--team", "support", "--alias", "bot")
    assert check(run, CHAT, "--key", "bot").exit_code == 1
    assert check(run, CHAT, "--key", "bot", "--team", "research").exit_code == 0


def test_check_reads_well(run: Run, policies: None) -> None:
    refused = run("check", "--team", "support", stdin=json.dumps(CHAT))
    assert refused.exit_code == 1
    assert "refused: budget" in refused.stdout and "tight" in refused.stdout
    assert "admitted" in run("check", "--team", "research", stdin=json.dumps(CHAT)).stdout
