"""`replay`: traffic written here, and what policies make of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.commands import CHAT, CHAT_TOKENS, Run, answer, one_line
from adapters.test_cli_traffic import recorded

CORPUS = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
ROW = {
    "id": "r", "dialect": "openai-chat", "model": "gpt-4o", "request": CHAT,
    "input_tokens": CHAT_TOKENS, "output_tokens": 100,
}  # fmt: skip
PRICE = CHAT_TOKENS * 2500 + 100 * 10_000
"""Of one row on gpt-4o: 2.50 and 10 dollars a million."""
NOON = "2026-11-02T12:00:00Z"
Play = Callable[..., dict[str, Any]]


@pytest.fixture
def play(run: Run, file: Callable[[str, str], str]) -> Play:
    """Replays rows under policies; the JSON document."""

    def of(policies: list[dict[str, Any]], rows: list[dict[str, Any]], *more: str, **defaults: Any) -> dict[str, Any]:
        written = file(json.dumps({"policies": policies, "defaults": defaults}), "p.yaml")
        found: dict[str, Any] = answer(run("replay", file(recorded(*rows), "t.jsonl"), "-f", written, "--json", *more))
        return found

    return of


def rows(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**ROW, "id": f"r{n}", **change} for n, change in enumerate(changes)]


def test_a_budget_that_runs_out(play: Play) -> None:
    policy = {"name": "all", "limit": {"usd": 2.5 * PRICE / 1e9}, "window": "day"}
    found = play([policy], rows({}, {}, {}, {}), "--at", NOON, clamp_output=False)
    assert (found["rows"], found["admitted"], found["refused"]) == (4, 2, {"budget": 2})
    assert (found["nano_usd"], found["refused_nano_usd"]) == (2 * PRICE, 2 * PRICE)
    [score] = found["policies"]
    assert (score["matched"], score["admitted"], score["refused"]) == (4, 2, {"budget": 2})
    assert (score["spent"], score["limit"], score["unit"], score["window"]) == (
        2 * PRICE, int(2.5 * PRICE), "nano_usd", "day",
    )  # fmt: skip
    assert 2 * PRICE <= score["peak"] <= score["limit"]
    assert score["first_refused"] == [
        {"row": "r2", "reason": "budget", "at": "2026-11-02T12:00:02Z"},
        {"row": "r3", "reason": "budget", "at": "2026-11-02T12:00:03Z"},
    ]


def test_a_clamp(play: Play) -> None:
    policy = {"name": "all", "limit": {"output_tokens": 150}, "window": "lifetime"}
    found = play([policy], rows({}, {}, {"output_tokens": 40}))
    assert (found["admitted"], found["clamped"]) == (2, 1)
    # The second was billed what it took then, beyond what it would have been allowed.
    assert found["policies"][0]["spent"] == 200


def test_who_and_when_are_the_rows_own(play: Play) -> None:
    policy = {"name": "daily", "match": {"team": "*"}, "limit": {"requests": 1}, "window": "day", "per": ["team"]}
    sent = rows(
        {"team": "a", "at": NOON},
        {"team": "a", "at": "2026-11-02T23:59:59.5Z"},
        {"team": "b", "timestamp": 1793663999.5},
        {"team": "a", "at": 1793664000000},
    )
    found = play([policy], sent)
    assert [row["row"] for row in found["first_refused"]] == ["r1"]
    assert (found["policies"][0]["scopes"], found["policies"][0]["peak_scope"]) == (2, {"team": "a"})
    assert not [words for words in found["assumed"] if "who sent" in words or "say when" in words]


def test_who_is_given_on_the_command_line(play: Play) -> None:
    policy = {"name": "x", "match": {"team": "a", "tag.run": "7"}, "models": {"deny": ["gpt-4o"]}}
    found = play([policy], rows({}, {"team": "b"}), "--team", "a", "--tag", "run=7")
    assert found["refused"] == {"model_not_allowed": 1}
    assert found["policies"][0]["refused"] == {"model_not_allowed": 1}
    assert any(words.startswith("Rows that do not say who sent them: 1;") for words in found["assumed"])


def test_calls_that_overlap(play: Play) -> None:
    policy = {"name": "two", "limit": {"concurrent": 2}}
    sent = rows({}, {}, {}, {"duration_ms": 1})
    assert play([policy], sent, "--takes", "2500s", "--every", "1s")["refused"] == {"rate": 2}
    assert play([policy], sent, "--takes", "1s", "--every", "1s")["refused"] == {}
    assert play([policy], sent)["policies"][0]["peak"] == 1


def test_shadow_and_trim(play: Play) -> None:
    turns = [{"role": role, "content": "weigh " * 50} for role in ("user", "assistant", "user")]
    long = {"model": "gpt-4o", "messages": turns, "max_tokens": 5}
    policies = [
        {"name": "dark", "limit": {"requests": 1}, "window": "lifetime", "mode": "shadow"},
        {"name": "short", "context": {"max_input_tokens": 130, "on_exceed": "trim"}},
    ]
    found = play(policies, rows({}, {"request": long}, {}))
    assert (found["admitted"], found["trimmed"], found["refused"]) == (3, 1, {})
    dark, short = found["policies"]
    assert (dark["would_refuse"], short["trimmed"], short["limit"]) == (2, 1, None)


def test_rows_that_cannot_be_sent(play: Play) -> None:
    sent = [
        ROW,
        {"id": "no request"},
        {**ROW, "dialect": "morse"},
        {**ROW, "at": "noon"},
        {**ROW, "at": True},
        {**ROW, "at": -1},
    ]
    found = play([], sent)
    assert found["admitted"] == 1 and sum(found["failed"].values()) == 5
    found = play([], [{**ROW, "request": {"model": "gpt-4o"}}])
    assert found["refused"] == {"malformed": 1}


def test_billed_in_the_providers_words(play: Play) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 1000}}
    found = play([], rows({"usage": usage}, {"usage": {}}, {"usage": "?", "input_tokens": None, "output_tokens": None}))
    assert found["nano_usd"] == 1000 * 1250 + PRICE + CHAT_TOKENS * 2500
    assert any(words.startswith("Rows without a bill: 1;") for words in found["assumed"])


def test_replay_reads_well(run: Run, file: Callable[..., str]) -> None:
    policies = file("policies: [{name: one, limit: {requests: 1}, window: lifetime}]")
    said = run("replay", file(recorded(*rows({}, {})), "t.jsonl"), "-f", policies).stdout
    for words in ("2 rows: 1 admitted, 1 refused", "1 request", "r1", "budget (one)", "one every 1s"):
        assert words in said, said
    assert "lorry" not in said


def test_wrong_use(run: Run, file: Callable[..., str], tmp_path: Path) -> None:
    traffic, policies = file(recorded(ROW), "t.jsonl"), file("policies: []")
    one_line(run("replay", traffic, "-f", file("policies: [{name: x, limits: 1}]", "bad.yaml")), "bad.yaml", "limits")
    one_line(run("replay", str(tmp_path / "absent.jsonl"), "-f", policies), "absent.jsonl")
    one_line(run("replay", traffic, "-f", policies, "--every", "often"), "--every")
    one_line(run("replay", traffic, "-f", policies, "--at", "noon"), "--at")
    one_line(run("replay", traffic), "-f")


def test_the_corpus_is_replayed(run: Run, file: Callable[..., str]) -> None:
    if not (CORPUS / "traffic.jsonl.xz").is_file():
        pytest.skip("the corpus of recorded traffic is not here: set WEIGHBRIDGE_CORPUS")
    policies = file("policies: [{name: all, limit: {usd: 2}, window: lifetime}]\ndefaults: {unpriced_model: allow}")
    found = answer(run("replay", str(CORPUS / "traffic.jsonl.xz"), "-f", policies, "--json"))
    assert found["failed"] == {} and found["rows"] == found["admitted"] + sum(found["refused"].values())
    [score] = found["policies"]
    assert score["refused"]["budget"] > 100 and score["first_refused"]
    # What was held was never beyond the limit; what providers then billed beyond their hold is told.
    assert score["spent"] <= score["limit"] + found["overrun_nano_usd"]
