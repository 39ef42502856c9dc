"""A day of traffic, and who LiteLLM would let through: its own limiters where they can be called alone.

Rates a minute: `_PROXY_MaxParallelRequestsHandler_v3` of the installed LiteLLM, on the day's clock.
Budgets of a model: `_PROXY_VirtualKeyModelMaxBudgetLimiter`, the same.
Budgets of keys and teams need its database; by its documentation a call is refused once what was spent
has reached the budget, and budgets begin anew on the hour, at midnight, on Monday, on the first.
Allowed models: its `can_key_call_model` and `can_team_access_model` take lists of names; the rule is the list.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MIDNIGHT = 1_790_812_800_000
"""2026-10-01, a Thursday."""
CONFIG: dict[str, Any] = {
    "model_list": [
        {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini"}},
        {"model_name": "smart", "litellm_params": {"model": "openai/gpt-4o"}},
    ],
    "teams": [
        {"team_id": "t1", "team_alias": "research", "max_budget": 0.4, "budget_duration": "24h", "rpm_limit": 10},
        {"team_id": "t2", "team_alias": "support", "max_budget": 0.003, "budget_duration": "1h", "models": ["fast"]},
    ],
    "keys": [
        {"token": "h1", "key_alias": "ann", "team_id": "t1", "rpm_limit": 8,
         "model_max_budget": {"smart": {"budget_limit": 0.08, "time_period": "1d"}}},
        {"token": "h2", "key_alias": "bob", "team_id": "t1", "max_budget": 0.25, "budget_duration": "24h"},
        {"token": "h3", "key_alias": "bot", "team_id": "t2", "tpm_limit": 2500},
        {"token": "h4", "key_alias": "old", "team_id": "t2", "blocked": True},
    ],
}  # fmt: skip
REAL = {"fast": "gpt-4o-mini", "smart": "gpt-4o"}
USD = {"fast": (0.15e-6, 0.6e-6), "smart": (2.5e-6, 10e-6)}
"""Dollars a prompt token and an output token, as the model table of both has them."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A call of the day; it is over before the next one."""

    at: int
    key: str
    team: str
    group: str
    words: int
    most: int
    """`max_tokens`."""
    output: int

    @property
    def text(self) -> str:
        return "word " * self.words


def day(seed: int, calls: int = 1500) -> list[Sent]:
    """Bursts of calls, with quiet times between, spread over 24 hours."""
    dice = random.Random(seed)
    made: list[Sent] = []
    while len(made) < calls:
        key, team = dice.choice(
            [("ann", "t1"), ("ann", "t1"), ("bob", "t1"), ("bot", "t2"), ("bot", "t2"), ("old", "t2")]
        )
        at = MIDNIGHT + dice.randrange(86_400_000)
        for _ in range(dice.choice([1, 1, 2, 4, 12])):
            at += dice.randrange(200, 9000)
            most = dice.choice([50, 200, 800])
            words = dice.choice([20, 200, 900])
            group = dice.choice(["fast", "fast", "smart"])
            made.append(Sent(at, key, team, group, words, most, dice.randrange(1, most + 1)))
    return sorted((s for s in made if s.at < MIDNIGHT + 86_400_000), key=lambda s: s.at)


class LiteLLM:
    """LiteLLM's answers, call by call."""

    def __init__(self) -> None:
        from litellm.caching.caching import DualCache
        from litellm.caching.in_memory_cache import InMemoryCache
        from litellm.proxy.hooks.model_max_budget_limiter import _PROXY_VirtualKeyModelMaxBudgetLimiter
        from litellm.proxy.hooks.parallel_request_limiter_v3 import _PROXY_MaxParallelRequestsHandler_v3
        from litellm.proxy.utils import InternalUsageCache

        self.now = MIDNIGHT
        # It leaves the ends of windows to its cache, which forgets by the same clock.
        self.cache = DualCache(InMemoryCache(clock=lambda: self.now / 1000))
        clock = lambda: datetime.fromtimestamp(self.now / 1000)  # noqa: E731
        self.rates = _PROXY_MaxParallelRequestsHandler_v3(InternalUsageCache(self.cache), time_provider=clock)
        self.models = _PROXY_VirtualKeyModelMaxBudgetLimiter(self.cache)
        self.spent: dict[tuple[str, int], float] = defaultdict(float)
        self.keys = {row["key_alias"]: row for row in CONFIG["keys"]}
        self.teams = {row["team_id"]: row for row in CONFIG["teams"]}

    async def decide(self, sent: Sent, prompt: int) -> str:
        """ "" for a call that passes and is charged, else why it is refused."""
        self.now = sent.at
        key, team = self.keys[sent.key], self.teams[sent.team]
        refused = self._refused(sent, key, team) or await self._over_model(sent, key)
        if refused:
            return refused
        # A request is a task of its own: LiteLLM keeps its reservation in a context variable.
        return await asyncio.get_running_loop().create_task(self._rated(sent, key, team, prompt), context=Context())

    def _refused(self, sent: Sent, key: dict[str, Any], team: dict[str, Any]) -> str:
        if key.get("blocked"):
            return "blocked"
        if sent.group not in (team.get("models") or [sent.group]):
            return "model"
        for name, row in ((sent.key, key), (sent.team, team)):
            if row.get("max_budget") is not None and self.spent[name, self._window(row)] >= row["max_budget"]:
                return "budget"
        return ""

    def _window(self, row: dict[str, Any]) -> int:
        return self.now // (3_600_000 if row["budget_duration"] == "1h" else 86_400_000)

    async def _over_model(self, sent: Sent, key: dict[str, Any]) -> str:
        from litellm import BudgetExceededError

        try:
            await self.models.is_key_within_model_budget(self._user(sent, key), sent.group)
        except BudgetExceededError:
            return "model budget"
        return ""

    def _user(self, sent: Sent, key: dict[str, Any]) -> Any:
        from litellm.proxy._types import UserAPIKeyAuth

        team = self.teams[sent.team]
        return UserAPIKeyAuth(
            api_key=key["token"], token=key["token"], key_alias=sent.key, team_id=sent.team,
            rpm_limit=key.get("rpm_limit"), tpm_limit=key.get("tpm_limit"),
            team_rpm_limit=team.get("rpm_limit"), team_tpm_limit=team.get("tpm_limit"),
            model_max_budget=key.get("model_max_budget") or {},
        )  # fmt: skip

    async def _rated(self, sent: Sent, key: dict[str, Any], team: dict[str, Any], prompt: int) -> str:
        from fastapi import HTTPException

        id = f"call {sent.at} {sent.key}"
        data = {
            "model": sent.group, "messages": [{"role": "user", "content": sent.text}], "max_tokens": sent.most,
            "litellm_call_id": id, "metadata": {},
        }  # fmt: skip
        try:
            await self.rates.async_pre_call_hook(self._user(sent, key), self.cache, data, "acompletion")
        except HTTPException:
            return "rate"
        await self._charge(sent, key, team, prompt, id)
        return ""

    async def _charge(self, sent: Sent, key: dict[str, Any], team: dict[str, Any], prompt: int, id: str) -> None:
        from litellm.types.utils import ModelResponse, Usage

        rates = USD[sent.group]
        cost = prompt * rates[0] + sent.output * rates[1]
        for name, row in ((sent.key, key), (sent.team, team)):
            if row.get("max_budget") is not None:
                self.spent[name, self._window(row)] += cost
        named = {"user_api_key_hash": key["token"], "user_api_key_team_id": sent.team}
        budgets = {"user_api_key_model_max_budget": key.get("model_max_budget") or {}}
        usage = Usage(prompt_tokens=prompt, completion_tokens=sent.output, total_tokens=prompt + sent.output)
        kwargs = {
            "litellm_call_id": id, "model": REAL[sent.group],
            "litellm_params": {"metadata": {**named, **budgets, "model_group": sent.group}},
            "standard_logging_object": {"metadata": named, "model_group": sent.group, "response_cost": cost},
        }  # fmt: skip
        await self.rates.async_log_success_event(kwargs, ModelResponse(usage=usage), None, None)
        await self.models.async_log_success_event(kwargs, ModelResponse(usage=usage), None, None)
