"""A provider that falls silent: the gateway gives up, and charges what may have been billed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from gateway.running import providers, redis_server
from gateway.test_endings import LIMIT, PLAIN, WORST, plainly
from gateway.test_streams import ASK, asking
from gateway.upstream import JSON, PATIENCE_SECONDS, TAPE_HEADER, Answer, Seen, Upstream, Wait, serving, until
from weighbridge.adapters.gateway import forward
from weighbridge.adapters.gateway.app import Gateway
from weighbridge.core.endings import WAYS
from weighbridge.core.ledger import Entries, Entry
from weighbridge.ledger import Store
from weighbridge.ledger.open import open_store
from weighbridge.settings import load

never = threading.Event()


async def silent(seen: Seen) -> Answer:
    await asyncio.to_thread(never.wait, PATIENCE_SECONDS)
    return Answer()


upstream = Upstream(silent)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """(URL, store) of a gateway in this process that waits no longer than a moment for anything."""
    place = tmp_path_factory.mktemp("hasty")
    with pytest.MonkeyPatch.context() as patch, serving(upstream) as base_url, redis_server() as store_url:
        patch.setattr(forward, "SILENCE_SECONDS", 0.2)
        (place / "policies.yaml").write_text(yaml.safe_dump(LIMIT))
        settings = {"store": store_url, "policies": "policies.yaml", "auth": "none", "providers": providers(base_url)}
        (place / "weighbridge.yaml").write_text(yaml.safe_dump(settings))
        with serving(Gateway(load(str(place / "weighbridge.yaml"))), lifespan="on") as url:
            store = open_store(store_url, clock=lambda: 0, directory=place)
            yield url, store
            store.close()


@pytest.fixture
def let_go() -> Iterator[threading.Event]:
    never.clear()
    yield never
    never.set()


def asked(gateway: tuple[str, Store], what: dict[str, Any], name: str) -> tuple[httpx.Response, Entry]:
    """The answer to a request for what is so named on the tape, and the line it left."""
    url, store = gateway
    before = len(store.run(Entries()))
    answer = httpx.post(**{**what, "url": url + what["url"], "headers": {TAPE_HEADER: name}}, timeout=20)
    until(lambda: len(store.run(Entries())) == before + 1, "the journal's line")
    return answer, store.run(Entries())[-1]


@pytest.mark.parametrize("name", ["begun", "not begun"])
@pytest.mark.parametrize("format", PLAIN)
def test_a_plain_answer_may_have_been_written(
    gateway: tuple[str, Store], let_go: threading.Event, format: str, name: str
) -> None:
    upstream.tape["begun"] = Answer((Wait(let_go),), 200, {**JSON, "content-length": "50"})
    answer, entry = asked(gateway, plainly(format), name)
    assert answer.status_code == 502
    assert entry.ending.startswith(WAYS["no answer in time, plain"].journal) and entry.output == WORST


@pytest.mark.parametrize("format", ASK)
def test_a_stream_that_never_began_costs_its_prompt(
    gateway: tuple[str, Store], let_go: threading.Event, format: str
) -> None:
    answer, entry = asked(gateway, asking(format), "not begun")
    assert answer.status_code == 502
    assert entry.ending.startswith(WAYS["no answer in time, stream"].journal)
    assert (entry.input > 0, entry.output) == (True, 0)
