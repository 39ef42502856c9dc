"""One provider and one gateway with keys for the whole run; a key per team, each with rules of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway import provider
from gateway.running import Gateway, providers, running
from gateway.upstream import Upstream, serving

POLICIES: dict[str, Any] = {
    "policies": [
        {"name": "all-free", "match": {"team": "free"}, "limit": {"usd": 1000}, "window": "month"},
        {"name": "all-broke", "match": {"team": "broke"}, "limit": {"usd": "0.000000001"}, "window": "month"},
        {"name": "all-slow", "match": {"team": "slow"}, "limit": {"requests": 1}, "window": "hour", "per": ["key"]},
        {"name": "all-narrow", "match": {"team": "narrow"}, "limit": {"output_tokens": 50}, "window": "lifetime",
         "per": ["key"]},
        {"name": "all-short", "match": {"team": "short"}, "context": {"max_input_tokens": 50}},
        {"name": "all-cheap", "match": {"team": "cheap"}, "models": {"allow": ["none-of-these"]}},
        {"name": "all-moved", "match": {"team": "moved"},
         "context": {"max_input_tokens": 2, "on_exceed": "reroute d-2"}},
        {"name": "all-trimmed", "match": {"team": "trimmed"},
         "context": {"max_input_tokens": 600, "on_exceed": "trim"}},
        {"name": "all-rerouted", "match": {"team": "rerouted"},
         "context": {"max_input_tokens": 2, "on_exceed": "reroute gpt-4.1-mini"}},
        {"name": "runs", "match": {"tag.run": "capped"}, "limit": {"requests": 1}, "window": "lifetime"},
    ],
}  # fmt: skip
"""What each team may do; "free" may do everything."""


NOWHERE = {"dialects": ["openai-chat"], "base_url": "http://127.0.0.1:1", "models": ["gpt-4o-unreachable"]}
"""A provider that is not there."""
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1, "max_output_tokens": 100}
PRICED = {"gpt-4o-unreachable": PRICE, "d-1": PRICE, "d-2": PRICE}
"""Prices of models that no table knows; "d-1" and "d-2" are deployments of Pangu's."""


@pytest.fixture(scope="session")
def upstream() -> Upstream:
    """The provider behind the gateway."""
    return Upstream(provider.answer)


@pytest.fixture(scope="session")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    """A gateway that asks for keys."""
    with serving(upstream) as base_url:
        pangu = {"base_url": base_url, "api_key": "token-of-pangu"}
        named = {**providers(base_url), "nowhere": NOWHERE, "pangu": pangu}
        with running(base_url, POLICIES, auth="keys", providers=named, models=PRICED) as started:
            yield started


@pytest.fixture(scope="session")
def key_of(gateway: Gateway) -> Callable[[str], str]:
    """A team -> its virtual key."""
    made: dict[str, str] = {}

    def key(team: str) -> str:
        if team not in made:
            made[team] = gateway.key(team)["key"]
        return made[team]

    return key


@pytest.fixture(scope="session")
def key(key_of: Callable[[str], str]) -> str:
    """A key that may do everything."""
    return key_of("free")


@pytest.fixture
def client(gateway: Gateway, key: str) -> Iterator[httpx.Client]:
    """An HTTP client with that key; afterwards nothing is held."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with httpx.Client(base_url=gateway.url, headers=headers, timeout=30) as started:
        yield started
    gateway.quiet()
