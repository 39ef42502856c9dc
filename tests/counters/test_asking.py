"""The desk asks only when it matters: both guards, over real sockets, to a provider that counts."""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gateway.upstream import Answer, Break, Pause, Seen, Upstream, serving
from weighbridge.core.admission import Ticket, Weighed
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import Refused
from weighbridge.core.model import Principal, RawCall
from weighbridge.core.policy import parse, shelf
from weighbridge.core.policy.model import Rules
from weighbridge.core.shelves import Put
from weighbridge.counters import APIS, Account, Remote
from weighbridge.desk import Desk
from weighbridge.guard import AsyncGuard, Guard
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore
from weighbridge.scale import Scale

ROW = {"max_input_tokens": 9000, "max_output_tokens": 100, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
MODELS = {"claude-sonnet-4-5": ROW, "claude-haiku-4-5": {**ROW, "max_input_tokens": 100_000}}
EXACT = "anthropic count_tokens"


class Words:
    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Provider:
    """A provider that counts, and what it was asked."""

    def __init__(self) -> None:
        self.count: Callable[[dict[str, Any]], Answer] = lambda body: Answer.json({"input_tokens": 10})
        self.upstream = Upstream(self._answer)

    async def _answer(self, seen: Seen) -> Answer:
        assert seen.path == "/v1/messages/count_tokens"
        return self.count(seen.json())

    @property
    def asked(self) -> list[Seen]:
        return self.upstream.seen


class Gate:
    """One guard under test, driven alike whether it waits or not."""

    def __init__(self, waits: bool, when: Any, base_url: str, **options: Any) -> None:
        def now() -> int:
            return 1_790_000_000_000 + self.ticks

        self.ticks = 0
        account = Account("anthropic", APIS["anthropic"], base_url, "sk-1")
        remote = Remote([account], now, when=when, **options)
        scale = Scale(Catalogue(MODELS), lambda name: Words(), lambda call: "anthropic")
        desk = Desk(scale, now, remote=remote)
        self.store = MemoryStore(now)
        self.guard: Any = AsyncGuard(desk, AsyncMemoryStore(self.store)) if waits else Guard(desk, self.store)
        self.waits = waits

    def do(self, verb: str, raw: RawCall) -> Any:
        async def awaited() -> Any:
            try:
                return await getattr(self.guard, verb)(raw)
            finally:
                await self.guard._wire.close()

        return asyncio.run(awaited()) if self.waits else getattr(self.guard, verb)(raw)

    def open(self, raw: RawCall) -> Ticket:
        ticket: Ticket = self.do("open", raw)
        return ticket

    def weigh(self, raw: RawCall) -> Weighed:
        weighed: Weighed = self.do("weigh", raw)
        return weighed

    def policies(self, *documents: dict[str, Any]) -> None:
        self.store.run(Put("policies", shelf.write(*parse.policies({"policies": documents}))))
        self.ticks += 1000


def raw(text: str = "weighed " * 2000, turns: int = 1, **more: Any) -> RawCall:
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": "found wanting"}] * turns
    body = {"model": "claude-sonnet-4-5", "messages": said[:-1], "max_tokens": 10}
    return RawCall("anthropic-messages", json.dumps(body).encode(), Principal(team="research"), **more)


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Provider, str]]:
    provider = Provider()
    with serving(provider.upstream) as url:
        yield provider, url


@pytest.fixture
def provider(served: tuple[Provider, str]) -> Provider:
    served[0].asked.clear()
    served[0].count = lambda body: Answer.json({"input_tokens": 10})
    return served[0]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def gate(request: pytest.FixtureRequest, served: tuple[Provider, str]) -> Iterator[Callable[..., Gate]]:
    made: list[Gate] = []

    def make(when: Any = "undecided", **options: Any) -> Gate:
        made.append(Gate(request.param, when, served[1], **options))
        return made[-1]

    yield make
    for one in made:
        if not one.waits:
            one.guard.shut()


def limit(tokens: int, on_exceed: str = "reject") -> dict[str, Any]:
    return {"name": "short", "context": {"max_input_tokens": tokens, "on_exceed": on_exceed}}


def offline(gate: Callable[..., Gate], **more: Any) -> tuple[int, int]:
    estimate = gate("undecided").weigh(raw(counts=True, **more)).estimate
    assert estimate.tokens < estimate.upper
    return estimate.tokens, estimate.upper


def test_nothing_is_asked_where_nothing_depends_on_it(gate: Callable[..., Gate], provider: Provider) -> None:
    tokens, upper = offline(gate)
    here = gate()
    here.policies(limit(upper))
    assert "words" in here.open(raw()).weighed.estimate.method, "it fits for certain"
    here.policies(limit(tokens - 1))
    with pytest.raises(Refused, match="tokens"):
        here.open(raw())
    assert provider.asked == [], "it is too long by the best guess"


@pytest.mark.parametrize("excess", [0, 1])
def test_the_provider_decides_what_is_undecided(gate: Callable[..., Gate], provider: Provider, excess: int) -> None:
    tokens, _ = offline(gate)
    provider.count = lambda body: Answer.json({"input_tokens": tokens + excess})
    here = gate()
    here.policies(limit(tokens))
    if excess:
        with pytest.raises(Refused) as refused:
            here.open(raw())
        assert (refused.value.reason, refused.value.counted) == ("context_length", tokens + 1)
    else:
        estimate = here.open(raw()).weighed.estimate
        assert (estimate.tokens, estimate.upper, estimate.method) == (tokens, tokens, EXACT)
    (seen,) = provider.asked
    assert seen.headers["x-api-key"] == "sk-1" and "max_tokens" not in seen.json()


def test_the_models_own_window_is_a_limit_too(gate: Callable[..., Gate], provider: Provider) -> None:
    words = bisect_left(range(9000), True, key=lambda n: upper_of(n) > 9000)
    assert gate().open(raw("weighed " * words)).weighed.estimate.method == EXACT
    assert len(provider.asked) == 1


def upper_of(words: int) -> int:
    scale = Scale(Catalogue(MODELS), lambda name: Words(), lambda call: "anthropic")
    return scale.count(raw("weighed " * words, counts=True), Rules()).estimate.upper


def test_an_exact_count_spares_the_detour(gate: Callable[..., Gate], provider: Provider) -> None:
    tokens, _ = offline(gate, turns=3)
    here = gate()
    here.policies(limit(tokens, "trim"))
    assert here.open(raw(turns=3)).decision == "admit"
    provider.count = lambda body: Answer.json({"input_tokens": 10 if len(body["messages"]) < 5 else 99_999})
    here = gate()
    here.policies(limit(tokens, "trim"))
    ticket = here.open(raw(turns=3))
    assert (ticket.decision, ticket.weighed.detour.drop_turns) == ("trim", 1)


def test_a_rerouted_call_is_asked_for_its_new_model(gate: Callable[..., Gate], provider: Provider) -> None:
    tokens, _ = offline(gate)
    provider.count = lambda body: Answer.json({"input_tokens": 9000})
    here = gate("always")
    here.policies(limit(tokens, "reroute claude-haiku-4-5"))
    ticket = here.open(raw())
    assert (ticket.decision, ticket.weighed.estimate.tokens) == ("reroute", 9000)
    assert [seen.json()["model"] for seen in provider.asked] == ["claude-sonnet-4-5", "claude-haiku-4-5"]


FAILURES = {
    "refused": (lambda body: Answer.json({"error": {}}, 400), "answered 400", 20.0),
    "broken off": (lambda body: Answer((b"{", Break())), "did not answer", 20.0),
    "too slow": (lambda body: Answer((Pause(1.5), b"{}")), "did not answer", 0.3),
    "not JSON": (lambda body: Answer((b"<html>",)), "without a count", 20.0),
}


@pytest.mark.parametrize(("count", "why", "patience"), FAILURES.values(), ids=FAILURES)
def test_a_provider_that_fails_is_not_in_the_way(
    gate: Callable[..., Gate], provider: Provider, count: Any, why: str, patience: float
) -> None:
    tokens, upper = offline(gate)
    provider.count = count
    here = gate(patience=patience)
    here.policies(limit(tokens))
    with pytest.raises(Refused) as refused:
        here.open(raw())
    assert f"up to {upper}" in refused.value.message, "decided on the offline bound"
    found = gate("always", patience=patience).weigh(raw(counts=True)).estimate
    assert why in found.method and (found.tokens, found.upper) == (tokens, upper)


def test_always_asks_for_count_routes_and_undecided_does_not(gate: Callable[..., Gate], provider: Provider) -> None:
    gate("undecided").weigh(raw(counts=True))
    assert provider.asked == []
    assert gate("always").weigh(raw(counts=True)).estimate.tokens == 10


def test_checking_asks_too(gate: Callable[..., Gate], provider: Provider) -> None:
    assert gate("always").do("check", raw()).weighed.estimate.method == EXACT


def test_nobody_listens() -> None:
    for waits in (False, True):
        here = Gate(waits, "always", "http://127.0.0.1:1", patience=20)
        assert "did not answer (ConnectError)" in here.weigh(raw(counts=True)).estimate.method
