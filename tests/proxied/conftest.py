"""One provider and one LiteLLM proxy of two workers for the whole run; a team per kind of limit."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway import provider
from gateway.running import Gateway
from gateway.upstream import Answer, Pause, Seen, Upstream, serving, until
from proxied.running import key_of, proxied
from weighbridge.core.ledger import Entry

POLICIES: dict[str, Any] = {
    "policies": [
        {"name": "all-free", "match": {"team": "free"}, "limit": {"usd": 1000}, "window": "month"},
        {"name": "all-broke", "match": {"team": "broke"}, "limit": {"usd": "0.000000001"}, "window": "month"},
        {"name": "all-slow", "match": {"team": "slow"}, "limit": {"requests": 1}, "window": "hour"},
        {"name": "all-short", "match": {"team": "short"}, "context": {"max_input_tokens": 2}},
        {"name": "all-cheap", "match": {"team": "cheap"}, "models": {"allow": ["gpt-4o-mini"]}},
        {"name": "all-narrow", "match": {"team": "narrow"}, "limit": {"output_tokens": 50}, "window": "lifetime"},
        {"name": "dear", "match": {"team": "dear"}, "limit": {"usd": 0.1}, "window": "lifetime"},
    ],
}


@dataclass
class Bill:
    """What the provider charges for: whole answers, by model."""

    lines: list[tuple[str, int, int]] = field(default_factory=list)
    failures: int = 0

    async def answer(self, seen: Seen) -> Answer:
        """As the provider, but broken, flaky and slow where the path says so."""
        if "/broken/" in seen.path or ("/flaky/" in seen.path and not self.failures):
            self.failures += 1
            return Answer.json({"error": {"message": "not now", "type": "server_error"}}, 500)
        said = await provider.answer(seen)
        model = seen.path.rsplit("/", 1)[1].split(":")[0] if ":" in seen.path else seen.json()["model"]
        if said.status < 400:
            self.lines.append((model, provider.PROMPT, 0 if seen.path.endswith("/embeddings") else provider.ANSWER))
        if "/slow/" not in seen.path:
            return said
        return Answer(tuple(part for step in said.steps for part in (step, Pause(0.05))), said.status, said.headers)


Standing = tuple[Gateway, Upstream, Bill]


@dataclass(frozen=True)
class Rig:
    """The proxy, what is behind it, and what it owes."""

    proxy: Gateway
    upstream: Upstream
    bill: Bill

    @property
    def url(self) -> str:
        """Where the proxy is."""
        return self.proxy.url

    def settled(self) -> list[Entry]:
        """The journal since the test began; it must say what the bill says, line by line."""
        until(lambda: len(self.entries()) >= len(self.bill.lines), "the ledger to have a line for each of the bill")
        self.proxy.quiet()
        entries = self.entries()
        assert sorted((e.model, e.input, e.output) for e in entries) == sorted(self.bill.lines)
        assert {e.ending for e in entries} <= {"reported"}
        return entries

    def entries(self) -> list[Entry]:
        """The journal since the test began."""
        return self.proxy.entries()[self.began :]

    began: int = 0

    def client(self, team: str = "free") -> httpx.Client:
        """An HTTP client with a team's key, wherever a provider looks for it."""
        key = key_of(team)
        headers = {"authorization": f"Bearer {key}", "x-goog-api-key": key, "x-api-key": key}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)


@pytest.fixture(scope="session", autouse=True)
def offline() -> None:
    """The litellm SDK looks for newer prices on the network else."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"


@pytest.fixture(scope="session")
def standing() -> Iterator[Standing]:
    """The proxy wrapped, two workers, started once: it takes seconds."""
    with _standing(wrapped=True, workers=2) as standing:
        yield standing


@pytest.fixture(scope="session")
def standing_alone() -> Iterator[Standing]:
    """LiteLLM's own app, with the plugin alone."""
    with _standing(wrapped=False, workers=1) as standing:
        yield standing


@contextmanager
def _standing(wrapped: bool, workers: int) -> Iterator[Standing]:
    for needed in ("fastapi", "litellm", "orjson"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip("needs a LiteLLM proxy: pip install 'weighbridge[litellm]'")
    bill = Bill()
    upstream = Upstream(bill.answer)
    with serving(upstream) as url, proxied(url, POLICIES, wrapped=wrapped, workers=workers) as proxy:
        yield proxy, upstream, bill


@pytest.fixture
def rig(standing: Standing) -> Rig:
    """The wrapped proxy with a clean slate."""
    return _clean(*standing)


@pytest.fixture
def alone(standing_alone: Standing) -> Rig:
    """The proxy with the plugin alone, with a clean slate."""
    return _clean(*standing_alone)


def _clean(proxy: Gateway, upstream: Upstream, bill: Bill) -> Rig:
    proxy.quiet()
    bill.lines.clear()
    bill.failures = 0
    upstream.seen.clear()
    upstream.sent_whole.clear()
    return Rig(proxy, upstream, bill, len(proxy.entries()))
