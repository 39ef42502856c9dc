"""A LiteLLM proxy's settings as policies: each setting, and what is said of those without an equal."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.errors import ConfigError
from weighbridge.core.migration import durations
from weighbridge.core.migration.draft import exactly
from weighbridge.core.migration.fleet import provider_and_model
from weighbridge.core.migration.litellm import Migration, migrate
from weighbridge.core.policy import parse

TWO: list[dict[str, Any]] = [
    {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini"}},
    {"model_name": "smart", "litellm_params": {"model": "openai/gpt-4o"}, "model_info": {"access_groups": ["best"]}},
    {"model_name": "claude", "litellm_params": {"model": "anthropic/claude-sonnet-4-5"}},
]


def made(**config: Any) -> Migration:
    return migrate({"model_list": TWO, **config}, window=lambda model: 128_000)


def key(**row: Any) -> dict[str, Any]:
    return {"keys": [{"token": "h", "key_alias": "ci", **row}]}


def deployments(*settings: dict[str, Any], enforced: bool = True) -> dict[str, Any]:
    checks = ["enforce_model_rate_limits"] if enforced else []
    rows = [{"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini", **more}} for more in settings]
    return {"model_list": rows, "router_settings": {"optional_pre_call_checks": checks}}


CI, MINI = {"key": "ci"}, {"model": "gpt-4o-mini"}
POLICIES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "the proxy's budget, in its time zone": (
        {"litellm_settings": {"max_budget": 10, "budget_duration": "1d", "timezone": "Europe/Zurich"}},
        [{"limit": {"usd": 10}, "window": "day", "timezone": "Europe/Zurich", "per": []}],
    ),
    "calls at one time": (
        {"general_settings": {"global_max_parallel_requests": 9, "max_parallel_requests": 2}},
        [{"limit": {"concurrent": 9}, "per": []}, {"match": {"key": "*"}, "limit": {"concurrent": 2}}],
    ),
    "a key's rates": (
        key(rpm_limit=3, tpm_limit=900, tpd_limit=5000, max_parallel_requests=2),
        [
            {"match": CI, "limit": {"requests": 3}, "window": "rolling 60s"},
            {"match": CI, "limit": {"tokens": 900}, "window": "rolling 60s"},
            {"match": CI, "limit": {"tokens": 5000}, "window": "rolling 1d"},
            {"match": CI, "limit": {"concurrent": 2}},
        ],
    ),
    "tokens counted one way": (
        {**key(tpm_limit=900), "general_settings": {"token_rate_limit_type": "output"}},
        [{"match": CI, "limit": {"output_tokens": 900}, "window": "rolling 60s"}],
    ),
    "a budget with a warning": (
        key(max_budget=10, soft_budget=8, budget_duration="30d"),
        [{"match": CI, "limit": {"usd": 10}, "window": "month", "warn_at": [0.8]}],
    ),
    "a warning without a budget": (
        key(soft_budget=8),
        [{"match": CI, "limit": {"usd": 8}, "window": "lifetime", "mode": "shadow"}],
    ),
    "several budgets of one key": (
        key(budget_limits='[{"budget_duration": "1h", "max_budget": 1}, {"budget_duration": "7d", "max_budget": 5}]'),
        [
            {"match": CI, "limit": {"usd": 1}, "window": "hour"},
            {"match": CI, "limit": {"usd": 5}, "window": "week"},
        ],
    ),
    "no budget at all is one of nothing": (
        key(max_budget=0),
        [{"match": CI, "limit": {"usd": 0}, "window": "lifetime"}],
    ),
    "a budget of its own before that of its plan": (
        {**key(budget_id="b", rpm_limit=5), "budgets": [{"budget_id": "b", "rpm_limit": 9, "max_budget": 2}]},
        [
            {"match": CI, "limit": {"usd": 2}, "window": "lifetime"},
            {"match": CI, "limit": {"requests": 5}, "window": "rolling 60s"},
        ],
    ),
    "budgets and rates of models": (
        key(
            model_max_budget={
                "fast": {"budget_limit": 1, "time_period": "1d"},
                "gpt-4o": {"max_budget": 2, "rpm_limit": 4},
            },
            metadata={"model_tpm_limit": {"fast": 100}},
        ),
        [
            {"match": {**CI, **MINI}, "limit": {"tokens": 100}, "window": "rolling 60s"},
            {"match": {**CI, **MINI}, "limit": {"usd": 1}, "window": "rolling 1d"},
            {"match": {**CI, "model": "gpt-4o"}, "limit": {"usd": 2}, "window": "lifetime"},
            {"match": {**CI, "model": "gpt-4o"}, "limit": {"requests": 4}, "window": "rolling 60s"},
        ],
    ),
    "allowed models, by group, access group, wildcard and name": (
        key(models=["fast", "best", "anthropic/*", "o3"]),
        [{"match": CI, "models": {"allow": ["gpt-4o-mini", "gpt-4o", "claude-*", "o3"]}}],
    ),
    "every model": (key(models=["all-proxy-models"]), []),
    "no model": (key(models=["no-default-models"]), [{"match": CI, "models": {"deny": ["*"]}}]),
    "a blocked key": (key(blocked=True, models=["fast"]), [{"match": CI, "models": {"deny": ["*"]}}]),
    "rates of deployments that are enforced": (
        deployments({"rpm": 6}, {"rpm": 4, "tpm": 9}),
        [{"match": MINI, "limit": {"requests": 10}, "window": "minute"}],
    ),
    "rates that only route": (
        deployments({"rpm": 6}, enforced=False),
        [{"match": MINI, "limit": {"requests": 6}, "window": "minute", "mode": "shadow"}],
    ),
    "budgets of deployments": (
        deployments({"max_budget": 1.5, "budget_duration": "1d"}, {"max_budget": 2, "budget_duration": "1d"}),
        [{"match": MINI, "limit": {"usd": 3.5}, "window": "rolling 1d"}],
    ),
    "budgets of some deployments": (deployments({"max_budget": 1.5}, {}), []),
    "providers and tags": (
        {
            "router_settings": {"provider_budget_config": {"openai": {"budget_limit": 5, "time_period": "1d"}}},
            "litellm_settings": {"tag_budget_config": {"prod": {"max_budget": 7, "budget_duration": "5d"}}},
        },
        [
            {"match": {"provider": "openai"}, "limit": {"usd": 5}, "window": "rolling 1d"},
            {"match": {"tag.prod": "true"}, "limit": {"usd": 7}, "window": "rolling 5d"},
        ],
    ),
    "another model for what is too long": (
        {"router_settings": {"context_window_fallbacks": [{"fast": ["claude", "smart"]}, {"claude": ["fast"]}]}},
        [{"match": MINI, "context": {"max_input_tokens": 128_000, "on_exceed": "reroute gpt-4o"}}],
    ),
    "what users get when they are made": (
        {"litellm_settings": {"max_internal_user_budget": 3, "internal_user_budget_duration": "1mo"}},
        [{"match": {"user": "*"}, "limit": {"usd": 3}, "window": "month"}],
    ),
    "names that are patterns": (
        {"teams": [{"team_id": "a*[b]", "max_budget": 1}]},
        [{"match": {"team": "a[*][[]b]"}, "limit": {"usd": 1}, "window": "lifetime"}],
    ),
}


@pytest.mark.parametrize(("config", "policies"), POLICIES.values(), ids=POLICIES)
def test_settings_become_policies(config: dict[str, Any], policies: list[dict[str, Any]]) -> None:
    found = made(**config)
    assert [{name: value for name, value in row.items() if name != "name"} for row in found.policies] == policies
    read, _ = parse.policies({"policies": found.policies, "defaults": found.defaults})
    assert len(read) == len(policies)


NOTES: dict[str, tuple[dict[str, Any], str, str]] = {
    "fallbacks": (
        {"router_settings": {"fallbacks": [{"a": ["b"]}]}},
        "router_settings.fallbacks",
        "stays with LiteLLM",
    ),
    "aliases": (key(aliases={"a": "b"}), "key ci: aliases", "name the model itself"),
    "uneven rates": (deployments({"rpm": 1}, {}), "model fast", "nothing is limited"),
    "a time that is none": (key(max_budget=1, budget_duration="soon"), "key ci", "is no duration"),
    "a time zone nobody knows": (
        {"litellm_settings": {"timezone": "Mars"}},
        "litellm_settings.timezone",
        "UTC is taken",
    ),
    "a name nobody can match": ({"teams": [{"team_id": " a", "max_budget": 1}]}, "team  a", "not written"),
    "an amount that is none": (key(max_budget=-1), "key ci", "not written"),
    "a wildcard of another provider": (key(models=["groq/*"]), "key ci", "'groq/*' is written as it is"),
    "projects": ({"projects": [{"project_id": "p"}]}, "project p", "no scope here"),
    "another provider's model": (
        {"router_settings": {"context_window_fallbacks": [{"fast": ["claude"]}]}},
        "context_window_fallbacks fast",
        "same provider only",
    ),
    "a user's limits on team keys": (
        {"users": [{"user_id": "u", "max_budget": 1}], "keys": [{"token": "h", "team_id": "t", "user_id": "u"}]},
        "user u",
        "team keys too",
    ),
    "entries that are none": ({"model_list": [{"model_name": "x"}, 5]}, "model_list[1]", "left out"),
    "other files": ({"include": ["a.yaml"]}, "include", "are not read"),
}


@pytest.mark.parametrize(("config", "where", "words"), NOTES.values(), ids=NOTES)
def test_what_has_no_equal_is_said(config: dict[str, Any], where: str, words: str) -> None:
    said = {note.where: note.what for note in made(**config).notes if note.unequal}
    assert words in said[where]


def test_a_group_of_several_models_says_that_each_has_the_limit() -> None:
    two = [{"model_name": "any", "litellm_params": {"model": name}} for name in ("openai/gpt-4o", "openai/o3")]
    found = migrate({"model_list": two, **key(model_max_budget={"any": 1})})
    assert [row["match"]["model"] for row in found.policies] == ["gpt-4o", "o3"]
    assert any("each has the limit for itself" in note.what for note in found.notes)


def test_prices_of_deployments_go_to_the_settings() -> None:
    params = {"model": "azure/mine", "input_cost_per_token": 2.5e-6, "output_cost_per_token": "0.00001"}
    row = {
        "model_name": "x",
        "litellm_params": params,
        "model_info": {"max_input_tokens": 9000, "base_model": "azure/gpt-4o"},
    }
    assert migrate({"model_list": [row]}).models == {
        "gpt-4o": {"input_usd_per_mtok": 2.5, "output_usd_per_mtok": 10.0, "max_input_tokens": 9000}
    }


def test_a_store_that_fails_is_met_as_litellm_was_told_to() -> None:
    assert made().defaults["on_store_error"] == "slice"
    closed = made(general_settings={"fail_closed_budget_enforcement": True})
    assert closed.defaults["on_store_error"] == "reject"


@pytest.mark.parametrize("config", [None, [], "x", {}, {"policies": []}, {"router_settings": 5}])
def test_what_is_no_config_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError):
        migrate(config)


MODELS = {
    "plain": (("gpt-4o", None, None), ("", "gpt-4o")),
    "with its provider": (("openai/gpt-4o", None, None), ("openai", "gpt-4o")),
    "twice": (("groq/openai/gpt-oss", None, None), ("groq", "openai/gpt-oss")),
    "provider apart": (("meta-llama/Llama-3", "together_ai", None), ("together_ai", "meta-llama/Llama-3")),
    "azure": (("azure/mine", None, "azure/gpt-4o"), ("azure", "gpt-4o")),
    "wildcard": (("openai/*", None, None), ("openai", "openai/*")),
}


@pytest.mark.parametrize(("said", "found"), MODELS.values(), ids=MODELS)
def test_models_are_named_as_the_provider_does(
    said: tuple[str, str | None, str | None], found: tuple[str, str]
) -> None:
    assert provider_and_model(*said) == found


WINDOWS = {
    None: "lifetime", "30s": "rolling 60s", "60s": "minute", "1m": "minute", "60m": "hour", "1h": "hour", "24h": "day",
    "1d": "day", "daily": "day", "7d": "week", "1w": "week", "30d": "month", "1mo": "month", "monthly": "month",
    "5h": "rolling 5h", "90m": "rolling 90m", "2d": "rolling 2d", "2mo": "rolling 62d", "900d": "rolling 366d",
}  # fmt: skip


@pytest.mark.parametrize(("duration", "window"), WINDOWS.items(), ids=map(str, WINDOWS))
def test_durations_are_windows(duration: str | None, window: str) -> None:
    assert durations.reset(duration).window == window


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["fast", "max_budget"]), inner, max_size=2)
    ),
    max_leaves=4,
)
COLUMNS = st.dictionaries(
    st.sampled_from([
        "max_budget", "soft_budget", "budget_duration", "budget_limits", "rpm_limit", "max_parallel_requests", "models",
        "model_max_budget", "metadata", "aliases", "blocked", "user_id", "team_id", "key_alias", "expires", "token",
    ]),
    JSON,
)  # fmt: skip


@given(st.lists(COLUMNS, max_size=2), COLUMNS, JSON)
def test_any_rows_make_policies_that_load_or_notes(keys: list[Any], params: Any, value: Any) -> None:
    entry = {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini", "rpm": value, **params}}
    settings = {"max_budget": value, "budget_duration": value, "timezone": value, "max_internal_user_budget": value}
    config = {"model_list": [entry], "keys": keys, "teams": keys, "users": keys, "litellm_settings": settings}
    found = migrate(config)
    parse.policies({"policies": found.policies, "defaults": found.defaults})


@given(st.text(max_size=12) | st.integers() | st.none())
def test_any_duration_is_a_window_that_loads(duration: Any) -> None:
    for span in (durations.reset(duration), durations.tumbling(duration)):
        parse.policy({"name": "x", "limit": {"usd": 1}, **span.document()})


@given(st.text(min_size=1, max_size=12))
def test_a_name_as_a_glob_fits_itself_only(name: str) -> None:
    assert fnmatchcase(name, exactly(name))
    assert not fnmatchcase(name + "x", exactly(name))
