"""Everything that was ever recorded goes through the gateway: the client gets what was recorded, and the
ledger says what was billed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import httpx
import pytest

from gateway import provider
from gateway.corpus import Bill, Exchange, exchange, rows
from gateway.running import Gateway, running
from gateway.upstream import TAPE_HEADER, Upstream, serving
from weighbridge.core.ledger import Entry

AT_ONCE = 16
ALLOW_ALL = {
    "policies": [{"name": "all", "match": {}, "limit": {"usd": 100000}, "window": "lifetime"}],
    "defaults": {"unpriced_model": "allow"},
}


@dataclass(frozen=True, slots=True)
class Played:
    """An exchange as the client saw it."""

    exchange: Exchange
    status: int
    body: bytes
    id: str


@dataclass(frozen=True, slots=True)
class Replay:
    """All exchanges, and what the ledger wrote of each."""

    played: list[Played]
    entries: dict[str, Entry]
    gateway: Gateway
    arrived: dict[str, bytes]
    """Exchange -> the request body as the provider got it."""


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    """Every recorded exchange of the gateway's formats."""
    found = [(row["id"], row["dialect"], row["url_path"], exchange(row)) for row in rows()]
    spoken = {e.dialect for *_, e in found if e is not None}
    others = Counter(path.rpartition("/")[2] for _, dialect, path, e in found if e is None and dialect in spoken)
    print(f"{len(found)} rows; embeddings in formats that are not OpenAI's, not forwarded: {dict(others)}")
    return [e for *_, e in found if e is not None]


@pytest.fixture(scope="module")
def replay(exchanges: list[Exchange]) -> Iterator[Replay]:
    """The exchanges, sent once through a gateway with two workers."""
    upstream = Upstream(provider.answer)
    upstream.tape = {e.id: e.played() for e in exchanges}
    with serving(upstream) as base_url, running(base_url, ALLOW_ALL, workers=2, auth="none") as gateway:
        played = asyncio.run(_send_all(gateway.url, exchanges))
        gateway.quiet()
        arrived = {seen.headers[TAPE_HEADER]: seen.body for seen in upstream.seen}
        yield Replay(played, {entry.id: entry for entry in gateway.entries()}, gateway, arrived)


async def _send_all(url: str, exchanges: list[Exchange]) -> list[Played]:
    turn = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=AT_ONCE)) as client:

        async def send(e: Exchange) -> Played:
            async with turn:
                headers = {TAPE_HEADER: e.id, "content-type": "application/json"}
                answer = await client.post(e.path, content=e.request, headers=headers)
            return Played(e, answer.status_code, answer.content, answer.headers.get("x-weighbridge-request-id", ""))

        return await asyncio.gather(*map(send, exchanges))


def test_none_is_refused(replay: Replay) -> None:
    refused = [(p.exchange.id, p.exchange.dialect, p.exchange.model, p.status, p.body[:300]) for p in replay.played
               if p.status != 200]  # fmt: skip
    assert not refused, f"{len(refused)} of {len(replay.played)}: {refused[:20]}"


def test_providers_get_what_was_sent(replay: Replay) -> None:
    changed = [p.exchange for p in replay.played if replay.arrived[p.exchange.id] != p.exchange.request]
    for e in changed:
        asked = json.loads(e.request)
        options = asked.get("stream_options") or {}
        asked["stream_options"] = {**options, "include_usage": True}
        assert json.loads(replay.arrived[e.id]) == asked, f"{e.id} {e.model}: more than its usage was asked for"
        assert asked["stream"] and not options.get("include_usage"), e.id
    print(f"{len(changed)} requests changed, all of them to ask for the usage of a stream")


def test_clients_get_what_was_recorded(replay: Replay) -> None:
    different = [p.exchange.id for p in replay.played if p.body != _without_unasked_usage(p.exchange)]
    print(f"{len(replay.played)} answers compared byte for byte")
    assert not different, f"{len(different)} of {len(replay.played)}: {different[:20]}"


def test_each_is_settled_with_its_own_bill(replay: Replay) -> None:
    wrong = [
        (p.exchange.id, p.exchange.dialect, p.exchange.bill, _charged(replay.entries[p.id]))
        for p in replay.played
        if p.exchange.bill is not None and _charged(replay.entries[p.id]) != p.exchange.bill
    ]
    assert not wrong, f"{len(wrong)}: {wrong[:20]}"
    assert len(replay.entries) == len(replay.played), "one settlement for each, and no other"


def test_totals_by_model_are_those_billed(replay: Replay) -> None:
    billed = _totals((p.exchange.model, p.exchange.bill) for p in replay.played if p.exchange.bill is not None)
    reported = (p for p in replay.played if replay.entries[p.id].ending == "reported")
    entered = _totals((e.model, _charged(e)) for e in (replay.entries[p.id] for p in reported))
    print(f"{sum(t[0] for t in billed.values())} bills of {len(billed)} models compared: {_sum(billed)}")
    assert entered == billed


def test_what_nobody_billed_is_an_estimate(replay: Replay) -> None:
    estimates = [replay.entries[p.id] for p in replay.played if p.exchange.bill is None]
    print(f"{len(estimates)} answers without usage, settled as estimates")
    assert estimates
    assert {e.ending.partition(";")[0] for e in estimates} == {"cut off: no usage reported"}
    assert not [e for e in estimates if not e.input or not e.output]


def test_usage_report_says_the_same(replay: Replay) -> None:
    report = replay.gateway.cli("usage", "--by", "model")
    said = {row["model"]: (row["requests"], row["input_tokens"], row["output_tokens"], row["cached_tokens"],
                           row["reasoning_tokens"]) for row in report}  # fmt: skip
    assert said == _totals((e.model, _charged(e)) for e in replay.entries.values())
    assert sum(row["estimated_requests"] for row in report) == sum(p.exchange.bill is None for p in replay.played)


def _charged(entry: Entry) -> Bill:
    return Bill(entry.input, entry.output, entry.cached, entry.reasoning)


def _totals(bills: Iterable[tuple[str, Bill]]) -> dict[str, tuple[int, ...]]:
    """Model -> (requests, input, output, cached, reasoning)."""
    totals: dict[str, tuple[int, ...]] = {}
    for model, bill in bills:
        so_far = totals.get(model, (0,) * 5)
        totals[model] = tuple(a + b for a, b in zip(so_far, (1, *astuple(bill)), strict=True))
    return totals


def _sum(totals: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*totals.values(), strict=True)))


def _without_unasked_usage(e: Exchange) -> bytes:
    """The recorded answer, less the one kind of event the gateway takes out: a chunk that is there only for
    usage which the client did not ask for.  One provider sent it unasked; the gateway asks on its own account
    and cannot tell."""
    request: dict[str, Any] = json.loads(e.request)
    options = request.get("stream_options") or {}
    if e.dialect not in ("openai-chat", "completions") or not request.get("stream") or options.get("include_usage"):
        return e.answer
    events = e.answer.split(b"\n\n")
    return b"\n\n".join(event for event in events if not _only_usage(event))


def _only_usage(event: bytes) -> bool:
    if not event.startswith(b"data: {"):
        return False
    chunk = json.loads(event[6:])
    return chunk.get("choices") == [] and bool(chunk.get("usage"))
