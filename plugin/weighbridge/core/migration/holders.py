"""LiteLLM's keys, teams, users and the rest: rows of its database, or of its management API's answers."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from weighbridge.core.migration.draft import Draft, exactly, number
from weighbridge.core.migration.durations import RATE, Span, reset, tumbling
from weighbridge.core.migration.fleet import Fleet

Row = Mapping[str, Any]
Rows = Mapping[str, list[Row]]
"""Kind ("keys", "teams", "users", "organizations", "end_users", "tags", "members", "budgets", "projects",
"access_groups") -> its rows, with the columns of LiteLLM's tables."""
RATES: Final[Mapping[str, tuple[str, Span | None]]] = {
    "rpm_limit": ("requests", RATE),
    "tpm_limit": ("tokens", RATE),
    "tpd_limit": ("tokens", Span("rolling 1d")),
    "max_parallel_requests": ("concurrent", None),
}
"""Column -> (unit, window)."""
BY_MODEL: Final = {"model_rpm_limit": "requests", "model_tpm_limit": "tokens"}
UNITS: Final = {"input": "input_tokens", "output": "output_tokens"}
"""`token_rate_limit_type` -> what a limit on tokens a minute counts."""
WITHOUT_EQUAL: Final = {
    "aliases": "one model's name for another: name the model itself, or use `context: {on_exceed: reroute ...}`",
    "budget_fallbacks": "another model when the budget of one is spent: it is refused here",
    "allowed_routes": "routes a key may use: keys open every metered route here",
    "allowed_cache_controls": "cache controls a key may use",
    "guardrails": "guardrails",
    "temp_budget_increase": "use `weighbridge budget credit`, which ends with its window",
}
OF_PROJECT: Final = "projects are no scope here; give its keys a tag and a policy on it: `match: {tag.project: ...}`"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all of them."""

    timezone: str = "UTC"
    tokens: str = "tokens"
    """What a limit on tokens a minute counts."""


class Holders:
    """Rows turned into policies."""

    def __init__(self, draft: Draft, fleet: Fleet, rows: Rows, terms: Terms) -> None:
        self._draft = draft
        self._fleet = fleet
        self._rows = rows
        self._terms = terms
        self._budgets = {str(row.get("budget_id")): row for row in rows.get("budgets", ())}
        defaults = {
            str(row.get("team_id")): str(_mapping(row.get("metadata")).get("team_member_budget_id"))
            for row in rows.get("teams", ())
        }
        self._of_members = {team: budget for team, budget in defaults.items() if budget in self._budgets}
        """Team -> the budget its members have, each for itself."""
        self._teams = {str(row.get("team_id")): named(row, "team_alias", "team_id") for row in rows.get("teams", ())}
        self._orgs = {
            str(row.get("organization_id")): named(row, "organization_alias", "organization_id")
            for row in rows.get("organizations", ())
        }

    def write(self) -> None:
        """All of them."""
        for row in self._rows.get("organizations", ()):
            self._holder("org", "org", named(row, "organization_alias", "organization_id"), row)
        for row in self._rows.get("teams", ()):
            self._holder("team", "team", named(row, "team_alias", "team_id"), row)
            self._each_member(row)
        for row in self._rows.get("members", ()):
            self._member(row)
        for row in self._rows.get("users", ()):
            self._user(row)
        for row in self._rows.get("keys", ()):
            self._key(row)
        for row in self._rows.get("end_users", ()):
            self._holder("end user", "tag.end_user", str(row.get("user_id")), row)
        for row in self._rows.get("tags", ()):
            self._limits(f"tag {row.get('tag_name')}", of_tag(str(row.get("tag_name"))), row)
        self._without_equal()

    def team(self, id: Any) -> str:
        """A team's name, or its id where it has none."""
        return self._teams.get(str(id), str(id))

    def scope(self, where: str, match: Mapping[str, str], row: Row) -> None:
        """The limits of one row on whatever `match` names."""
        self._limits(where, match, row)

    def _holder(self, kind: str, field: str, name: str, row: Row) -> None:
        self._limits(f"{kind} {name}", {field: exactly(name)}, row)

    def _each_member(self, row: Row) -> None:
        """A team's budget for each member, where 0 means no cap."""
        team, own = self.team(row.get("team_id")), self._of_members.get(str(row.get("team_id")))
        if own is not None:
            shared = {
                name: value for name, value in self._budgets[own].items() if name != "max_budget" or number(value)
            }
            self._limits(f"each member of {team}", {"team": exactly(team), "user": "*"}, {**shared, "budget_id": None})

    def _member(self, row: Row) -> None:
        team, user = self.team(row.get("team_id")), str(row.get("user_id"))
        shared = self._of_members.get(str(row.get("team_id")))
        if shared is not None and str(row.get("budget_id")) == shared:
            return
        where, made = f"member {user} of {team}", len(self._draft.policies)
        self._limits(where, {"team": exactly(team), "user": exactly(user)}, row)
        if shared is not None and len(self._draft.policies) > made:
            self._draft.note(where, "what each member has binds this member too; in LiteLLM its own holds instead")

    def _user(self, row: Row) -> None:
        name = str(row.get("user_id"))
        made = len(self._draft.policies)
        self._holder("user", "user", name, row)
        on_teams = any(str(key.get("user_id")) == name and key.get("team_id") for key in self._rows.get("keys", ()))
        if len(self._draft.policies) > made and on_teams:
            what = "holds for the user's team keys too; in LiteLLM a budget only with apply_user_budget_to_team_keys"
            self._draft.note(f"user {name}", what)

    def _key(self, row: Row) -> None:
        alias = key_name(row)
        self._holder("key", "key", alias, row)
        team = self.team(row["team_id"]) if row.get("team_id") else None
        words = ["weighbridge", "key", "create", "--alias", alias, "--team", team or str(row.get("user_id") or alias)]
        words += ["--user", str(row["user_id"])] if row.get("user_id") else []
        org = row.get("organization_id") or row.get("org_id")
        words += ["--org", self._orgs.get(str(org), str(org))] if org else []
        words += ["--expires", str(row["expires"])] if row.get("expires") else []
        self._draft.keys.append(shlex.join(words))

    def _limits(self, where: str, match: Mapping[str, str], own: Row) -> None:
        budget = own.get("litellm_budget_table") or self._budgets.get(str(own.get("budget_id"))) or {}
        row = {**budget, **{name: value for name, value in own.items() if value not in (None, [], {})}}
        meta = _mapping(row.get("metadata"))
        self._money(where, match, row)
        for column, (unit, span) in RATES.items():
            if row.get(column) is not None:
                self._draft.limit(where, match, self._unit(unit), row[column], span)
        for setting, unit in BY_MODEL.items():
            for name, amount in _mapping(row.get(setting) or meta.get(setting)).items():
                for model in self._behind(where, name):
                    self._draft.limit(f"{where} on {name}", {**match, "model": model}, self._unit(unit), amount, RATE)
        self._by_model(where, match, _mapping(row.get("model_max_budget")))
        self._models(where, match, row)
        for setting, what in WITHOUT_EQUAL.items():
            if row.get(setting) or meta.get(setting):
                self._draft.note(f"{where}: {setting}", what)

    def _money(self, where: str, match: Mapping[str, str], row: Row) -> None:
        limit, soft = row.get("max_budget"), row.get("soft_budget")
        most, warned = number(limit), number(soft)
        span = reset(row.get("budget_duration"), self._terms.timezone)
        warn = {"warn_at": [round(warned / most, 6)]} if most and warned and most * 1e-6 <= warned <= most else {}
        if limit is not None:
            self._draft.limit(where, match, "usd", limit, span, **warn)
        if soft is not None and not warn:
            self._draft.limit(f"{where} soft", match, "usd", soft, span, mode="shadow")
        for window in _list(row.get("budget_limits")):
            if window.get("max_budget") is not None:
                span = reset(window.get("budget_duration"), self._terms.timezone)
                self._draft.limit(where, match, "usd", window["max_budget"], span)
        if row.get("spend"):
            self._draft.note("spend", "what was spent already is not brought over: every window begins at nothing")

    def _by_model(self, where: str, match: Mapping[str, str], budgets: Row) -> None:
        for name, config in budgets.items():
            said = config if isinstance(config, Mapping) else {"max_budget": config}
            amount = said.get("budget_limit", said.get("max_budget"))
            span = tumbling(said.get("time_period", said.get("budget_duration")))
            for model in self._behind(where, name):
                scope, what = {**match, "model": model}, f"{where} on {name}"
                if amount is not None:
                    self._draft.limit(what, scope, "usd", amount, span)
                for column in ("rpm_limit", "tpm_limit"):
                    if said.get(column) is not None:
                        self._draft.limit(what, scope, self._unit(RATES[column][0]), said[column], RATE)

    def _models(self, where: str, match: Mapping[str, str], row: Row) -> None:
        if row.get("blocked"):
            self._draft.models(f"{where} blocked", match, deny=["*"])
            return
        found = self._fleet.allowed(where, row.get("models") or row.get("allowed_models"))
        if found is not None:
            globs, allows = found
            self._draft.models(where, match, **({"allow": globs} if allows else {"deny": globs}))

    def _behind(self, where: str, name: str) -> tuple[str, ...]:
        models = self._fleet.behind(name)
        if len(models) > 1:
            self._draft.note(
                f"{where} on {name}", f"{len(models)} models stand behind it, and each has the limit for itself"
            )
        return models

    def _unit(self, unit: str) -> str:
        return self._terms.tokens if unit == "tokens" else unit

    def _without_equal(self) -> None:
        for row in self._rows.get("projects", ()):
            self._draft.note(f"project {named(row, 'project_alias', 'project_id')}", OF_PROJECT)
        for row in self._rows.get("access_groups", ()):
            if row.get("budget_id"):
                name = row.get("access_group_name")
                self._draft.note(f"access group {name}", "a budget for several models together has no equal")


def named(row: Row, alias: str, id: str) -> str:
    """What LiteLLM's plugin calls it: its name, else its id."""
    return str(row.get(alias) or row.get(id))


def of_tag(tag: str) -> dict[str, str]:
    """What matches a tag.  LiteLLM's are words; one that holds `=` or `:` is a name and a value."""
    name, _, value = tag.replace(":", "=", 1).partition("=")
    return {f"tag.{name.strip()}": exactly(value.strip() or "true")}


def key_name(row: Row) -> str:
    """A key's alias, else the id the LiteLLM plugin gives it: of its hash, never the key."""
    if row.get("key_alias"):
        return str(row["key_alias"])
    return sha256(str(row.get("token") or row.get("key")).encode()).hexdigest()[:16]


def _mapping(value: Any) -> Mapping[str, Any]:
    """A JSON column: a mapping, or one as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return
    yield from (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else ()
