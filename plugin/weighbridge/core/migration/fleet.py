"""LiteLLM's model groups: which real models stand behind the name that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from weighbridge.core.migration.draft import Draft, exactly, number
from weighbridge.core.migration.durations import Span, tumbling

WILD: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*", "codex-*"),
    "anthropic": ("claude-*",),
    "gemini": ("gemini-*",),
}
"""A provider's wildcard -> the names its models have; of others, the name with the prefix is all there is."""
EVERY: Final = ("all-proxy-models", "all-team-models", "*")
"""Words in a list of models that forbid nothing."""
NONE: Final = "no-default-models"
WAITS: Final = "calls wait for their turn in LiteLLM, and would be refused here: `limit: {concurrent: ...}`"
MINUTE: Final = Span("minute")
RATES: Final = {"rpm": "requests", "tpm": "tokens", "itpm": "input_tokens", "otpm": "output_tokens"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One entry of `model_list`."""

    group: str
    model: str
    """The model's own name, without its provider: what is priced, and what policies match."""
    provider: str
    settings: Mapping[str, Any]
    """`litellm_params` and, beneath them, the entry's own fields."""
    info: Mapping[str, Any]


class Fleet:
    """All deployments, by the names they answer to."""

    def __init__(self, model_list: Any, aliases: Any, draft: Draft) -> None:
        self.deployments = tuple(_deployments(model_list, draft))
        self._aliases = {
            str(name): str(other["model"] if isinstance(other, Mapping) else other)
            for name, other in (aliases.items() if isinstance(aliases, Mapping) else ())
        }
        self._draft = draft

    def groups(self) -> dict[str, list[Deployment]]:
        """Group -> its deployments."""
        found: dict[str, list[Deployment]] = {}
        for deployment in self.deployments:
            found.setdefault(deployment.group, []).append(deployment)
        return found

    def sellers(self, name: str) -> frozenset[str]:
        """The providers of a group's deployments."""
        name = self._aliases.get(name, name)
        return frozenset(deployment.provider for deployment in self.deployments if deployment.group == name)

    def behind(self, name: str) -> tuple[str, ...]:
        """Shell globs for the models behind a name: of a group, of an access group, of a wildcard, or its own."""
        name = self._aliases.get(name, name)
        of_group = [d.model for d in self.deployments if d.group == name]
        of_access = [d.model for d in self.deployments if name in _words(d.info.get("access_groups"))]
        found = of_group or of_access
        if found:
            return tuple(dict.fromkeys(glob for model in found for glob in self._globs(model)))
        provider, slash, rest = name.partition("/")
        sold = slash and "*" not in name and provider in {*WILD, *(d.provider for d in self.deployments)}
        return tuple(self._globs(rest if sold else name))

    def allowed(self, where: str, models: Any) -> tuple[list[str], bool] | None:
        """(globs, whether it is a list to allow) of a list of models; None where it forbids nothing."""
        names = _words(models)
        if not names or any(name in EVERY for name in names):
            return None
        if names == [NONE]:
            return ["*"], False
        globs = dict.fromkeys(glob for name in names if name != NONE for glob in self.behind(name))
        for name in names:
            if "*" in name and name.split("/")[0] not in WILD:
                self._draft.note(
                    where, f"{name!r} is written as it is: name the models if clients ask without a prefix"
                )
        return list(globs), True

    def limits(self, enforced: bool) -> None:
        """Policies for the rates and budgets of deployments."""
        for group, deployments in self.groups().items():
            for name, unit in RATES.items():
                self._rate(group, deployments, name, unit, enforced)
            if any(deployment.settings.get("max_parallel_requests") for deployment in deployments):
                self._draft.note(f"model {group}", f"max_parallel_requests: {WAITS}")
            self._budget(group, deployments)

    def _rate(self, group: str, deployments: Sequence[Deployment], name: str, unit: str, enforced: bool) -> None:
        where = f"model {group}"
        given = [deployment.settings.get(name) for deployment in deployments]
        amounts = [number(amount) for amount in given]
        for amount in given:
            if amount is not None and number(amount) is None:
                self._draft.note(where, f"{name} is {amount!r}, which is no number")
        if not any(amounts):
            return
        if not all(amounts):
            self._draft.note(
                where, f"{name} of some deployments only: the others take what is too much, so nothing is limited"
            )
            return
        models = self.behind(group)
        mode = {} if enforced else {"mode": "shadow"}
        for model in models:
            self._draft.limit(where, {"model": model}, unit, sum(filter(None, amounts)), MINUTE, **mode)
        if not enforced:
            self._draft.note(
                where, f"{name} only chooses among deployments in LiteLLM: written in shadow mode, which never refuses"
            )
        self._spread(where, models)

    def _budget(self, group: str, deployments: Sequence[Deployment]) -> None:
        budgets = [
            (number(d.settings.get("max_budget")), str(d.settings.get("budget_duration") or "")) for d in deployments
        ]
        where = f"model {group}"
        if not any(amount is not None for amount, _ in budgets):
            return
        if any(amount is None for amount, _ in budgets) or len({duration for _, duration in budgets}) > 1:
            self._draft.note(
                where, "budgets of some deployments only, or over unlike times: LiteLLM goes on to the next one"
            )
            return
        models = self.behind(group)
        for model in models:
            amount = round(sum(amount or 0 for amount, _ in budgets), 9)
            self._draft.limit(where, {"model": model}, "usd", amount, tumbling(budgets[0][1]))
        if len(deployments) > 1:
            self._draft.note(where, "the budgets of its deployments are one sum here", unequal=False)
        self._spread(where, models)

    def _spread(self, where: str, models: tuple[str, ...]) -> None:
        if len(models) > 1:
            self._draft.note(
                where, f"{len(models)} models stand behind it, and each has the limit for itself: {', '.join(models)}"
            )

    def _globs(self, name: str) -> Iterator[str]:
        provider, slash, rest = name.partition("/")
        if "*" not in name:
            yield exactly(name)
        elif slash and rest == "*" and provider in WILD:
            yield from WILD[provider]
        else:
            yield name


def provider_and_model(named: str, given: str | None = None, base: str | None = None) -> tuple[str, str]:
    """("openai", "gpt-4o") of "openai/gpt-4o".  `base`: the model an Azure deployment is of."""
    provider, slash, rest = named.partition("/")
    if given and given != provider:
        return given, (base or named).rpartition("/")[2] if base else named
    found, model = (provider, rest) if slash else (given or "", named)
    if "*" in model:
        return found, named
    return found, base.rpartition("/")[2] if base else model


def _deployments(model_list: Any, draft: Draft) -> Iterator[Deployment]:
    for index, entry in enumerate(model_list if isinstance(model_list, list) else ()):
        params = entry.get("litellm_params") if isinstance(entry, Mapping) else None
        if not isinstance(params, Mapping) or not params.get("model") or not entry.get("model_name"):
            draft.note(f"model_list[{index}]", "has no model_name or no litellm_params.model: left out")
            continue
        info = entry.get("model_info") if isinstance(entry.get("model_info"), Mapping) else {}
        provider, model = provider_and_model(
            str(params["model"]), params.get("custom_llm_provider"), info.get("base_model")
        )
        settings = {**{k: v for k, v in entry.items() if k not in ("litellm_params", "model_info")}, **params}
        yield Deployment(str(entry["model_name"]), model, provider, settings, info)


def _words(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
