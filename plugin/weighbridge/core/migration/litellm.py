"""A LiteLLM proxy's settings as policies: its config.yaml, and the rows of its database where they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.core.errors import ConfigError
from weighbridge.core.migration.draft import Draft, Note, exactly, number
from weighbridge.core.migration.durations import reset, tumbling
from weighbridge.core.migration.fleet import WAITS, Fleet
from weighbridge.core.migration.holders import UNITS, Holders, Rows, Terms, of_tag
from weighbridge.core.policy.window import zone

Block = Mapping[str, Any]
KINDS: Final = (
    "keys", "teams", "users", "organizations", "members", "end_users", "tags", "budgets", "projects", "access_groups",
)  # fmt: skip
UNEQUAL: Final[Mapping[str, Mapping[str, str]]] = {
    "litellm_settings": {
        "upperbound_key_generate_params": "bounds on keys made later: here an owner makes keys",
        "default_key_generate_params": "a template for keys made later",
        "max_end_user_budget_id": 'a budget for end users nobody knows yet: write `match: {tag.end_user: "*"}`',
        "max_end_user_budget": "LiteLLM no longer enforces it",
        "budget_reset_time": "windows begin at midnight here",
        "priority_reservation": "shares of a deployment's rate by priority",
        "cache": "answers are not cached here",
        "guardrails": "guardrails",
        "fallbacks": "another model when one fails: choosing models stays with LiteLLM or the client",
        "default_fallbacks": "another model when one fails: choosing models stays with LiteLLM or the client",
        "content_policy_fallbacks": "another model when one refuses to answer",
    },
    "router_settings": {
        "fallbacks": "another model when one fails: choosing models stays with LiteLLM or the client",
        "default_fallbacks": "another model when one fails: choosing models stays with LiteLLM or the client",
        "content_policy_fallbacks": "another model when one refuses to answer",
        "routing_strategy": "choosing among deployments stays with LiteLLM",
        "default_max_parallel_requests": WAITS,
        "allowed_fails": "taking a deployment out of service stays with LiteLLM",
    },
    "general_settings": {
        "master_key": "an administrator's key: `admin_key` in weighbridge.yaml",
        "custom_auth": "who sends a call: `identify` of the ASGI middleware, or the LiteLLM plugin",
        "enable_jwt_auth": "who sends a call: `auth: header` behind a proxy, or the LiteLLM plugin",
        "pass_through_endpoints": "routes of your own: the LiteLLM plugin meters them",
        "max_request_size_mb": "`limits: {max_body_mb: ...}` in weighbridge.yaml",
        "allowed_ips": "addresses that may call: whatever stands before the gateway says so",
        "allowed_routes": "routes that may be called: whatever stands before the gateway says so",
        "enforce_user_param": "a user named in every request: here a key, or `identify`, says who sends it",
        "enforced_params": "parameters every request must have",
    },
}
PRICES: Final = {
    "input_cost_per_token": "input_usd_per_mtok",
    "output_cost_per_token": "output_usd_per_mtok",
    "cache_read_input_token_cost": "cache_read_usd_per_mtok",
    "cache_creation_input_token_cost": "cache_write_usd_per_mtok",
}
SIZES: Final = ("max_input_tokens", "max_output_tokens")
FAIL_CLOSED: Final = ("fail_closed_rate_limit_enforcement", "fail_closed_budget_enforcement")
PER_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Migration:
    """What came of it."""

    policies: list[dict[str, Any]]
    """As a policies file has them; each is one that loads."""
    defaults: dict[str, Any]
    notes: list[Note]
    keys: list[str]
    """Commands that make the keys."""
    models: dict[str, dict[str, Any]]
    """The `models:` block for weighbridge.yaml: prices and windows of the deployments' own."""


def migrate(
    config: Any, database: Rows | None = None, window: Callable[[str], int | None] = lambda _: None
) -> Migration:
    """The policies of a config, and of the rows of its database.  `window`: the prompt tokens a model takes.

    Raises ConfigError where the config is none."""
    if not isinstance(config, Mapping) or not any(block in config for block in ("model_list", *UNEQUAL, *KINDS)):
        known = ", ".join(("model_list", *UNEQUAL))
        raise ConfigError(f"this is no LiteLLM config: it has none of {known}")
    draft = Draft()
    litellm, router, general = (_block(config, name) for name in UNEQUAL)
    fleet = Fleet(config.get("model_list"), router.get("model_group_alias") or litellm.get("model_alias_map"), draft)
    rows = _rows(config, database)
    terms = Terms(_timezone(litellm, draft), UNITS.get(str(general.get("token_rate_limit_type")), "tokens"))
    holders = Holders(draft, fleet, rows, terms)
    _whole(draft, litellm, general, terms)
    fleet.limits("enforce_model_rate_limits" in (router.get("optional_pre_call_checks") or ()))
    _by_provider(draft, router)
    _by_tag(draft, litellm)
    _overlong(draft, fleet, {**router, **litellm}, window)
    _later(draft, holders, litellm, rows)
    holders.write()
    _unequal(draft, config)
    if config.get("include"):
        draft.note("include", "the files it names are not read: import a config that holds all of it")
    if database is None and general.get("database_url"):
        draft.note("general_settings.database_url", "its keys, teams and users are not read: give --database URL")
    return Migration(draft.policies, _defaults(draft, general), draft.notes, draft.keys, _models(fleet))


def _block(config: Block, name: str) -> Block:
    block = config.get(name) or {}
    if not isinstance(block, Mapping):
        raise ConfigError(f"{name} must be a mapping of settings to values")
    return block


def _rows(config: Block, database: Rows | None) -> Rows:
    rows = {kind: list(config[kind]) for kind in KINDS if isinstance(config.get(kind), list)}
    for kind, found in (database or {}).items():
        rows[kind] = [*rows.get(kind, ()), *found]
    return {kind: [row for row in found if isinstance(row, Mapping)] for kind, found in rows.items()}


def _timezone(litellm: Block, draft: Draft) -> str:
    name = str(litellm.get("timezone") or "UTC")
    try:
        zone(name)
    except ValueError as error:
        draft.note("litellm_settings.timezone", f"{error}: UTC is taken")
        return "UTC"
    return name


def _whole(draft: Draft, litellm: Block, general: Block, terms: Terms) -> None:
    """Limits on everything together."""
    if number(litellm.get("max_budget")) == 0:
        draft.note("litellm_settings.max_budget", "0 limits nothing in LiteLLM, and is not written")
    elif litellm.get("max_budget") is not None:
        draft.limit(
            "proxy", {}, "usd", litellm["max_budget"], reset(litellm.get("budget_duration"), terms.timezone), per=[]
        )
    if general.get("global_max_parallel_requests") is not None:
        draft.limit("proxy", {}, "concurrent", general["global_max_parallel_requests"], None, per=[])
    if general.get("max_parallel_requests") is not None:
        draft.limit("each key", {"key": "*"}, "concurrent", general["max_parallel_requests"], None)


def _by_provider(draft: Draft, router: Block) -> None:
    for provider, config in _block(router, "provider_budget_config").items():
        amount, duration = _budget(config)
        draft.limit(f"provider {provider}", {"provider": exactly(str(provider))}, "usd", amount, tumbling(duration))


def _by_tag(draft: Draft, litellm: Block) -> None:
    for tag, config in _block(litellm, "tag_budget_config").items():
        amount, duration = _budget(config)
        draft.limit(f"tag {tag}", of_tag(str(tag)), "usd", amount, tumbling(duration))


def _budget(config: Any) -> tuple[Any, Any]:
    said = config if isinstance(config, Mapping) else {"max_budget": config}
    return said.get("budget_limit", said.get("max_budget")), said.get("time_period", said.get("budget_duration"))


def _overlong(draft: Draft, fleet: Fleet, settings: Block, window: Callable[[str], int | None]) -> None:
    """`context_window_fallbacks`: another model for prompts that are too long for one."""
    for row in settings.get("context_window_fallbacks") or ():
        for group, others in row.items() if isinstance(row, Mapping) else ():
            _reroute(draft, fleet, str(group), [str(other) for other in others or ()], window)


def _reroute(draft: Draft, fleet: Fleet, group: str, others: list[str], window: Callable[[str], int | None]) -> None:
    where = f"context_window_fallbacks {group}"
    sellers = fleet.sellers(group)
    other = next((name for name in others if fleet.sellers(name) == sellers), None)
    if other is None:
        draft.note(where, "a prompt goes to another model of the same provider only: LiteLLM translates, we do not")
        return
    if others != [other]:
        draft.note(where, f"only one is written: {other}")
    for model in fleet.behind(group):
        most = window(model)
        if most is None:
            draft.note(where, f"not written: nobody knows the window of {model}")
        else:
            draft.context(where, {"model": model}, most, fleet.behind(other)[0])


def _later(draft: Draft, holders: Holders, litellm: Block, rows: Rows) -> None:
    """What LiteLLM gives to users and teams when they are made; where those are known, they have it."""
    user = {
        "max_budget": litellm.get("max_internal_user_budget"),
        "budget_duration": litellm.get("internal_user_budget_duration"),
        **_block(litellm, "default_internal_user_params"),
    }
    before = litellm.get("default_team_settings")
    first = before[0] if isinstance(before, list) and before and isinstance(before[0], Mapping) else {}
    team = {"max_budget": first.get("max_budget"), **_block(litellm, "default_team_params")}
    for kind, field, params in (("users", "user", user), ("teams", "team", team)):
        if not any(value is not None for value in params.values()):
            continue
        if rows.get(kind):
            draft.note(
                f"defaults of {kind}", f"hold for {kind} made later; those that are have their own", unequal=True
            )
        else:
            holders.scope(f"each {field}", {field: "*"}, params)


def _unequal(draft: Draft, config: Block) -> None:
    for block, settings in UNEQUAL.items():
        for setting, what in settings.items():
            if _block(config, block).get(setting):
                draft.note(f"{block}.{setting}", what)


def _defaults(draft: Draft, general: Block) -> dict[str, Any]:
    closed = any(general.get(setting) for setting in FAIL_CLOSED)
    draft.note("defaults.unpriced_model", "allow: a model without a price is free in LiteLLM", unequal=False)
    if not closed:
        what = "slice: without its store LiteLLM counts in each process alone; here each admits up to a hundredth"
        draft.note("defaults.on_store_error", what, unequal=False)
    what = (
        "a request that does not fit what is left is sent with less output; LiteLLM sends it as it is, and overspends"
    )
    draft.note("defaults.clamp_output", what, unequal=False)
    return {"clamp_output": True, "unpriced_model": "allow", "on_store_error": "reject" if closed else "slice"}


def _models(fleet: Fleet) -> dict[str, dict[str, Any]]:
    found = {}
    for deployment in fleet.deployments:
        said = {**deployment.settings, **deployment.info}
        own: dict[str, Any] = {
            ours: round(price * PER_MILLION, 9)
            for theirs, ours in PRICES.items()
            if (price := number(said.get(theirs)))
        }
        own |= {size: int(most) for size in SIZES if (most := number(said.get(size)))}
        if own and "*" not in deployment.model:
            found[deployment.model] = own
    return found
