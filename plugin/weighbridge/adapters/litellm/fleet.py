"""Who may answer a request: the deployments behind an alias, and those it may fall back to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from litellm import get_llm_provider, get_supported_openai_params, provider_list
from litellm.proxy import proxy_server

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.model import Json, Model
from weighbridge.core.pricing import tier, worst_case

KNOWN_SECONDS: Final = 1.0
"""How long the router's answer is believed: models can be added while the proxy runs."""
MOST_KNOWN: Final = 4096
BYTES_PER_TOKEN: Final = 3
GUESSED_OUTPUT: Final = 4096
ASKED: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model where it runs, in LiteLLM's words."""

    provider: str
    model: str


class Fleet:
    """What LiteLLM's router would do with a model's name, remembered for a moment."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str | None], tuple[float, tuple[Deployed, ...]]] = {}

    def behind(self, name: str, team: str | None, asked: Iterable[str] = ()) -> tuple[Deployed, ...]:
        """The deployments that may answer for `name`: its own, and those of all its fallbacks and of
        the fallbacks the request `asked` for.  A name the router does not know is taken as it is."""
        found = dict.fromkeys(self._remembered(name, team))
        for other in asked:
            found |= dict.fromkeys(self._remembered(other, team))
        return tuple(found)

    def _remembered(self, name: str, team: str | None) -> tuple[Deployed, ...]:
        at, known = self._known.get((name, team), (0.0, ()))
        now = time.monotonic()
        if now - at < KNOWN_SECONDS:
            return known
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        found = tuple(dict.fromkeys(_all(proxy_server.llm_router, name, team)))
        self._known[name, team] = now, found
        return found


def dearest(candidates: tuple[Deployed, ...], catalogue: Catalogue, body: Mapping[str, Json]) -> Deployed:
    """The candidate whose answer can cost most.  Where several have no price, those come last."""
    size = len(str(body))
    asked = [body.get(field) for field in ASKED] + [_mapping(body.get("generationConfig")).get("maxOutputTokens")]
    limit = next((most for most in asked if isinstance(most, int)), None)

    def cost(deployed: Deployed) -> int:
        return _worst(catalogue.model(deployed.model, deployed.provider), size // BYTES_PER_TOKEN, limit)

    return max(candidates, key=cost)


def _worst(model: Model, prompt: int, limit: int | None) -> int:
    price = tier(model, "")
    if price is None:
        return -1
    fixed, per_output = worst_case(price, prompt)
    return fixed + per_output * (limit or model.max_output or GUESSED_OUTPUT) // 1000


def _all(router: Any, name: str, team: str | None) -> Iterator[Deployed]:
    """Breadth first along the fallbacks, each group once."""
    waiting, seen = [name], {name}
    while waiting:
        group = waiting.pop(0)
        yield from _deployments(router, group, team)
        for other in _fallbacks(router, group):
            if other not in seen:
                seen.add(other)
                waiting.append(other)


def _deployments(router: Any, group: str, team: str | None) -> Iterator[Deployed]:
    rows = router.get_model_list(model_name=group, team_id=team) if router is not None else None
    for row in rows or ():
        params = _mapping(row.get("litellm_params"))
        base = _mapping(row.get("model_info")).get("base_model")
        found = deployed(str(params.get("model")), params.get("custom_llm_provider"), params.get("api_base"))
        # A wildcard deployment ("openai/*") answers under the name that was asked for.
        model = group.rsplit("/", 1)[-1] if "*" in found.model else found.model
        yield Deployed(found.provider, str(base).rpartition("/")[2] if base else model)
    if not rows:
        yield deployed(group, None, None)


def _fallbacks(router: Any, group: str) -> Iterator[str]:
    for kind in ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
        for row in getattr(router, kind, None) or ():
            for others in (row.get(group), row.get("*")):
                yield from named(others)


def named(fallbacks: Any) -> Iterator[str]:
    """The models in a list of fallbacks, which may be names or requests in part."""
    for other in fallbacks if isinstance(fallbacks, list) else ():
        name = other.get("model") if isinstance(other, Mapping) else other
        if isinstance(name, str):
            yield name


def passed(model: str, path: str, dialect: str) -> Deployed:
    """Who answers what passes through: the provider the path begins with, or whose wire format it is."""
    first = path.strip("/").partition("/")[0]
    known = first in {str(getattr(name, "value", name)) for name in provider_list}
    return Deployed(first if known else dialect.partition("-")[0], model)


@lru_cache(maxsize=1024)
def deployed(model: str, provider: str | None, base: str | None) -> Deployed:
    """LiteLLM's name of a model, taken apart as LiteLLM does."""
    try:
        name, found, _, _ = get_llm_provider(model=model, custom_llm_provider=provider, api_base=base)
    except Exception:  # it raises one of its own for a name that says no provider
        return Deployed(provider or "", model)
    return Deployed(str(found), str(name))


@lru_cache(maxsize=1024)
def reports_usage(model: str, provider: str | None) -> bool:
    """Whether a deployment takes `stream_options`, as far as LiteLLM knows."""
    try:
        taken = get_supported_openai_params(model=model, custom_llm_provider=provider)
    except Exception:  # as in `deployed`
        return False
    return "stream_options" in (taken or ())


def _mapping(value: Any) -> Mapping[str, Any]:
    """LiteLLM's rows are dictionaries or pydantic models, and may lack what is looked for."""
    if isinstance(value, Mapping):
        return value
    return value.model_dump() if hasattr(value, "model_dump") else {}
