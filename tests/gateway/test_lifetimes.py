"""However a gateway's life ends, its calls are charged: once, and never less than what was delivered."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.lifetimes import Crowd, Service, Teller, service
from gateway.provider import PROMPT
from gateway.sdks import CHAT_MODEL, CLAUDE
from gateway.upstream import until
from weighbridge.core.settlement import BYTES_PER_TOKEN, STEP
from weighbridge.ledger.spool import left_behind

MANY = 100
EARLY, LATE = 50, 30
ASKED = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Weigh."}], "max_tokens": 5}


def all_heard(crowd: Crowd) -> None:
    until(lambda: crowd.heard() == MANY * EARLY, "all to have heard the first words", 60)


def settled_once(service: Service, crowd: Crowd, ending: str) -> None:
    """Every call has one line in the journal with that ending, and nothing is held for it any more."""
    until(lambda: len(service.entries()) >= MANY, "all to be settled", 60)
    until(lambda: service.held() == 0, "nothing to be held")
    entries = service.entries()
    assert {entry.ending for entry in entries} == {ending}
    assert sorted(entry.id for entry in entries) == sorted(call.id for call in crowd.calls)
    assert service.spent() == sum(entry.input + entry.output for entry in entries)


def left(service: Service) -> list[Path]:
    return [path for directory in service.spool.glob("*") for path in directory.iterdir()]


def test_open_calls_end_before_the_gateway_does() -> None:
    teller = Teller(EARLY, LATE)
    with service(teller, workers=2) as gateway, httpx.Client(base_url=gateway.url) as newcomer:
        crowd = Crowd(gateway.url)

        def meanwhile() -> list[httpx.Response]:
            all_heard(crowd)
            gateway.process.send_signal(signal.SIGTERM)
            until(lambda: newcomer.get("/health/ready").status_code == 503, "it to be closing")
            refused = [
                newcomer.post("/v1/chat/completions", json=ASKED),
                newcomer.post("/v1/messages", json={**ASKED, "model": CLAUDE}),
                newcomer.post("/v1beta/models/gemini-2.5-flash:generateContent", json={}),
            ]
            teller.go = True
            return refused

        refused = asyncio.run(crowd.read(MANY, meanwhile))
        gateway.process.wait(30)
        assert all(call.whole and call.words == EARLY + LATE for call in crowd.calls)
        settled_once(gateway, crowd, "reported")
        assert gateway.spent() == sum(teller.billed) == MANY * (PROMPT + EARLY + LATE)
        assert not left(gateway), "nothing is left to the next"
    assert [answer.status_code for answer in refused] == [503] * 3
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    assert refused[0].json()["error"]["code"] == "service_unavailable"
    assert refused[1].json()["error"]["type"] == "overloaded_error"
    assert refused[2].json()["error"]["status"] == "UNAVAILABLE"


@pytest.mark.parametrize("workers", [1, 2])
def test_calls_that_do_not_end_are_cut_off(workers: int) -> None:
    with service(Teller(EARLY, LATE), workers=workers, limits={"shutdown_seconds": 0.5}) as gateway:
        crowd = Crowd(gateway.url)
        asyncio.run(crowd.read(MANY, lambda: (all_heard(crowd), gateway.stop())))
        assert not any(call.whole for call in crowd.calls)
        settled_once(gateway, crowd, "cut off: the gateway was shut down")
        assert all(entry.output >= EARLY for entry in gateway.entries())
        assert not left(gateway)


@pytest.mark.parametrize("everybody", [False, True], ids=["workers", "all processes"])
def test_killed_workers_lose_nothing(everybody: bool) -> None:
    with service(Teller(EARLY, LATE), workers=2) as gateway:
        crowd = Crowd(gateway.url)

        def meanwhile() -> None:
            all_heard(crowd)
            assert len(gateway.workers()) == 2
            gateway.kill(everybody)

        asyncio.run(crowd.read(MANY, meanwhile))
        if everybody:
            assert gateway.entries() == []
            gateway.start()
        settled_once(gateway, crowd, "cut off: the worker died")
        seen = EARLY * -(-len("lorry ") // BYTES_PER_TOKEN)
        assert all(seen <= entry.output <= seen + seen // 4 + STEP for entry in gateway.entries())
        gateway.stop()
        gateway.start()
        gateway.stop()
        assert len(gateway.entries()) == MANY, "nothing is charged twice"
        assert not left(gateway)


def test_what_a_silent_store_did_not_take_is_settled_at_the_next_start() -> None:
    teller = Teller(EARLY, LATE)
    with service(teller, store_timeout_seconds=0.5) as gateway:
        crowd = Crowd(gateway.url)

        def meanwhile() -> None:
            all_heard(crowd)
            gateway.server.pause()
            teller.go = True

        asyncio.run(crowd.read(MANY, meanwhile))
        gateway.stop()
        gateway.server.resume()
        assert all(call.whole for call in crowd.calls)
        [directory] = gateway.spool.iterdir()
        owed: Any = [(running, found.owed) for _, running, found in left_behind(directory)]
        assert owed == [(False, MANY)]
        gateway.start()
        settled_once(gateway, crowd, "reported")
        assert gateway.spent() == sum(teller.billed)
        gateway.stop()
        assert not left(gateway)


def test_a_worker_that_lives_pays_what_was_owed_in_an_outage() -> None:
    teller = Teller(EARLY, LATE)
    with service(teller, store_timeout_seconds=0.5) as gateway:
        crowd = Crowd(gateway.url)

        def meanwhile() -> None:
            all_heard(crowd)
            gateway.server.pause()
            teller.go = True

        asyncio.run(crowd.read(MANY, meanwhile))
        gateway.server.resume()
        settled_once(gateway, crowd, "reported")
        assert gateway.spent() == sum(teller.billed)
