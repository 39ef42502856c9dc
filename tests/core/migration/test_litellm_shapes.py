"""Configs and rows of a shape that is met in the world: fractions, zeros, values of the environment, members."""

from __future__ import annotations

from typing import Any

import pytest

from weighbridge.core.migration.litellm import Migration, migrate
from weighbridge.core.policy import parse

TEAM = {"team_id": "t1", "team_alias": "research", "metadata": {"team_member_budget_id": "b1"}}
MEMBERS = {"team": "research", "user": "*"}
BUDGET = {"budget_id": "b1", "max_budget": 5, "budget_duration": "24h", "rpm_limit": 6}
EACH = [
    {"match": MEMBERS, "limit": {"usd": 5}, "window": "day"},
    {"match": MEMBERS, "limit": {"requests": 6}, "window": "rolling 60s"},
]


def key(**row: Any) -> dict[str, Any]:
    return {"keys": [{"token": "h", "key_alias": "ci", **row}]}


def said(found: Migration) -> dict[str, str]:
    return {note.where: note.what for note in found.notes if note.unequal}


SHAPES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a third of a budget": (
        key(max_budget=100 / 3), [{"match": {"key": "ci"}, "limit": {"usd": 33.333333333}, "window": "lifetime"}],
    ),
    "the budget of a trial, which is less than can be counted": (
        {"litellm_settings": {"tag_budget_config": {"a": {"max_budget": 1e-12, "budget_duration": "1d"}}}},
        [{"match": {"tag.a": "true"}, "limit": {"usd": 1e-9}, "window": "rolling 1d"}],
    ),
    "tokens in the writing of floats": (
        key(tpm_limit="5e4"), [{"match": {"key": "ci"}, "limit": {"tokens": 50_000}, "window": "rolling 60s"}],
    ),
    "a proxy's budget of nothing, which limits nothing": (
        {"litellm_settings": {"max_budget": 0, "budget_duration": "30d"}}, [],
    ),
    "a model with its provider, that is no group": (
        key(models=["openai/gpt-4o"], model_max_budget={"anthropic/claude-haiku-4-5": 1}),
        [
            {"match": {"key": "ci", "model": "claude-haiku-4-5"}, "limit": {"usd": 1}, "window": "lifetime"},
            {"match": {"key": "ci"}, "models": {"allow": ["gpt-4o"]}},
        ],
    ),
    "what teams get when they are made, as it was written before": (
        {"litellm_settings": {"default_team_settings": [{"team_id": "default-settings", "max_budget": 100.0}]}},
        [{"match": {"team": "*"}, "limit": {"usd": 100.0}, "window": "lifetime"}],
    ),
    "a team's budget for each member": ({"teams": [TEAM], "budgets": [BUDGET]}, EACH),
    "which members have by that name": (
        {"teams": [TEAM], "budgets": [BUDGET], "members": [{"team_id": "t1", "user_id": "u", "budget_id": "b1"}]},
        EACH,
    ),
    "which caps nothing where it is nothing": (
        {"teams": [TEAM], "budgets": [{**BUDGET, "max_budget": 0}]}, EACH[1:],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("config", "policies"), SHAPES.values(), ids=SHAPES)
def test_they_become_policies(config: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    found = migrate({"general_settings": {}, **config})
    assert [{name: value for name, value in row.items() if name != "name"} for row in found.policies] == policies
    parse.policies({"policies": found.policies, "defaults": found.defaults})


def test_a_member_with_a_budget_of_its_own_is_bound_by_both() -> None:
    own = {"team_id": "t1", "user_id": "u", "budget_id": "b2"}
    budgets = [BUDGET, {"budget_id": "b2", "max_budget": 50}]
    found = migrate({"teams": [TEAM], "budgets": budgets, "members": [own]})
    assert [row["match"]["user"] for row in found.policies] == ["*", "*", "u"]
    assert "binds this member too" in said(found)["member u of research"]


UNREAD = {
    "a rate": ({"model_list": [
        {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini", "rpm": "os.environ/RPM"}}]},
        "model fast", "'os.environ/RPM'"),
    "a budget": (key(max_budget="os.environ/MOST"), "key ci", "'os.environ/MOST'"),
    "a provider's budget": ({"router_settings": {"provider_budget_config": {"openai": {"time_period": "1d"}}}},
                            "provider openai", "not written"),
    "calls of a deployment at one time": (
        {"model_list": [{"model_name": "fast", "litellm_params": {"model": "openai/o3", "max_parallel_requests": 5}}]},
        "model fast", "wait for their turn"),
    "calls of any deployment at one time": (
        {"router_settings": {"default_max_parallel_requests": 5}},
        "router_settings.default_max_parallel_requests", "wait for their turn"),
    "the size of a request": (
        {"general_settings": {"max_request_size_mb": 2}}, "general_settings.max_request_size_mb", "max_body_mb"),
    "addresses": ({"general_settings": {"allowed_ips": ["10.0.0.1"]}}, "general_settings.allowed_ips", "before"),
    "who must be named": (
        {"general_settings": {"enforce_user_param": True}}, "general_settings.enforce_user_param", "every request"),
    "nothing": ({"litellm_settings": {"max_budget": 0}}, "litellm_settings.max_budget", "limits nothing"),
}  # fmt: skip


@pytest.mark.parametrize(("config", "where", "words"), UNREAD.values(), ids=UNREAD)
def test_what_is_no_amount_is_said(config: dict[str, Any], where: str, words: str) -> None:
    assert words in said(migrate({"general_settings": {}, **config}))[where]
