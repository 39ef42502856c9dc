"""Client transports between an upstream and a ledger in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2

from gateway import provider
from gateway.provider import ANSWER, CHAT_USAGE, PROMPT, WORDS, sse
from gateway.upstream import Upstream, serving, until
from weighbridge import wiring
from weighbridge.adapters import httpx as over_httpx
from weighbridge.adapters import httpx2 as over_httpx2
from weighbridge.core.ledger import Entries, Entry, OpenHolds
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk, Scale
from weighbridge.guard import AsyncGuard, Guard
from weighbridge.hooks import Event
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore

POLICIES: dict[str, Any] = {
    "policies": [
        {"name": "all-free", "match": {"team": "free"}, "limit": {"usd": 1000}, "window": "month"},
        {"name": "all-broke", "match": {"team": "broke"}, "limit": {"usd": "0.000000001"}, "window": "lifetime"},
        {"name": "all-slow", "match": {"team": "slow"}, "limit": {"requests": 1}, "window": "hour"},
        {"name": "all-single", "match": {"team": "single"}, "limit": {"concurrent": 1}},
        {"name": "all-narrow", "match": {"team": "narrow"}, "limit": {"output_tokens": 50}, "window": "lifetime"},
        {"name": "all-rerouted", "match": {"team": "rerouted"},
         "context": {"max_input_tokens": 2, "on_exceed": "reroute gemini-2.5-flash-lite"}},
        {"name": "all-short", "match": {"team": "short"}, "context": {"max_input_tokens": 50}},
        {"name": "runs", "match": {"tag.run": "capped"}, "limit": {"requests": 1}, "window": "lifetime"},
    ],
}  # fmt: skip
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What does the lorry weigh?"}]}
CHAT_PATH = "/v1/chat/completions"
STREAM: dict[str, Any] = {**CHAT, "stream": True}
CHUNKS = sse(*({"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS))
USAGE_CHUNK = sse({"choices": [], "usage": CHAT_USAGE}, done=True)
Over = Callable[..., AbstractContextManager[Any]]
"""Makes a client over a transport, given a team and what the transport takes."""
LIBRARIES: dict[str, tuple[Any, Any]] = {"httpx": (httpx, over_httpx), "httpx2": (httpx2, over_httpx2)}
"""Name -> (the library, its transports)."""


@dataclass
class Yard:
    """An upstream, a ledger, and guards over it."""

    url: str
    upstream: Upstream
    scale: Scale
    events: list[Event] = field(default_factory=list)
    lease_ms: int = 120_000

    def __post_init__(self) -> None:
        self.store = MemoryStore(wiring.clock)
        self.store.run(Put("policies", shelf.write(*parse.policies(POLICIES))))
        self.guard = Guard(self._desk(), self.store)
        self.async_guard = AsyncGuard(self._desk(), AsyncMemoryStore(self.store))

    def _desk(self) -> Desk:
        return Desk(self.scale, wiring.clock, hooks=(self.events.append,), lease_ms=self.lease_ms)

    def entries(self) -> tuple[Entry, ...]:
        """The whole journal."""
        return self.store.run(Entries())

    def entry(self, answer: Any) -> Entry:
        """The journal's line for this answer."""
        id = answer.headers["x-weighbridge-request-id"]
        found: list[Entry] = until(lambda: [e for e in self.entries() if e.id == id], f"the settlement of {id}")
        (only,) = found
        return only

    def billed(self) -> int:
        """Requests the upstream bills: those it answered from its own mouth, counts and lists left out."""
        asked = [seen for seen in self.upstream.seen if seen.method == "POST" and "count" not in seen.path]
        return len(asked)

    def balanced(self, *, prompt_only: int = 0) -> None:
        """The ledger is the upstream's bill, and nothing is held.  `prompt_only`: answers that generate nothing."""
        until(lambda: not self.store.run(OpenHolds()), "every hold to be settled")
        entries = self.entries()
        assert [entry.ending for entry in entries] == ["reported"] * len(entries)
        assert len(entries) == self.billed()
        assert sum(entry.input for entry in entries) == PROMPT * self.billed()
        assert sum(entry.output for entry in entries) == ANSWER * (self.billed() - prompt_only)


@contextmanager
def yard(scale: Scale, **more: Any) -> Iterator[Yard]:
    """A fresh ledger and a fresh upstream."""
    upstream = Upstream(provider.answer)
    with serving(upstream) as url:
        yield Yard(url, upstream, scale, **more)


def sent(seen: Any) -> Any:
    """The JSON body that arrived."""
    return json.loads(seen.body)
