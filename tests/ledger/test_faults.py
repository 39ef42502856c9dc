"""What a server that fails means to a caller: a named error in time, and no money moved twice."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from ledger.servers import Proxy, Server, binaries
from ledger.stores import fresh
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Charge, Counter, Entries, Entry, Granted, Hold, Peek, Renew, Reserve, Settle, State
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store
from weighbridge.ledger.faults import NOT_NOW, fault, place_of
from weighbridge.ledger.redis import AsyncRedisStore, RedisStore

USD = Counter("month", "nano_usd", "lifetime", ())
HOLD = (Hold(USD, 100, 60),)
SHORT = 0.3
"""Seconds of deadline, where it is to be met."""


@pytest.fixture(params=binaries())
def own(request: Any) -> Iterator[Server]:
    """A server that a test may stop, freeze and fill."""
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        server = Server(binaries()[request.param], Path(folder), "--appendonly", "yes")
        yield server
        server.stop()


def test_forgotten_scripts_are_sent_again(opened: Callable[..., Store], server: Server) -> None:
    store = opened(server.url)
    for verb in (Reserve("r", HOLD), Renew("r"), Settle("r", (Charge(USD, 1),)), Put("keys", {"a": 1})):
        with server.client() as client:
            client.script_flush()
        store.run(verb)
    assert store.run(Peek((USD,))) == (State(1, 0),)


def test_a_server_that_hangs(opened: Callable[..., Store], own: Server) -> None:
    store = opened(own.url, deadline=SHORT)
    _patiently(store, Peek((USD,)))
    own.pause()
    for verb in (Reserve("r", HOLD), Settle("r"), Peek((USD,))):
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            store.run(verb)
    with pytest.raises(StoreUnavailable):
        opened(own.url, deadline=SHORT).run(Peek((USD,)))
    own.resume()
    _patiently(store, Reserve("s", HOLD))


def _patiently(store: Store, verb: Any) -> None:
    """A busy machine may miss a short deadline where none is tested."""
    for _ in range(50):
        try:
            store.run(verb)
        except StoreUnavailable:
            continue
        return
    pytest.fail("the store never came back")


def test_a_server_that_restarts(opened: Callable[..., Store], own: Server) -> None:
    store = opened(own.url)
    store.run(Reserve("r", HOLD))
    own.restart()
    assert store.run(Settle("r", (Charge(USD, 7),))).outcome == "settled"
    own.stop()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        store.run(Peek((USD,)))
    own.start()
    assert store.run(Peek((USD,))) == (State(7, 0),)


def test_a_lost_reply_holds_and_charges_once(opened: Callable[..., Store], server: Server) -> None:
    proxy = Proxy(server.socket)
    try:
        store = opened(proxy.url)
        store.run(Peek((USD,)))
        proxy.armed = True
        assert isinstance(store.run(Reserve("r", HOLD)), Granted)
        assert store.run(Peek((USD,))) == (State(0, 60),)
        proxy.armed = True
        assert store.run(Settle("r", (Charge(USD, 7),), Entry("r"))).outcome == "already"
        assert store.run(Peek((USD,))) == (State(7, 0),)
        assert len(store.run(Entries())) == 1
        assert proxy.dropped == 2
    finally:
        proxy.close()


def test_one_caller_gives_up_and_no_other_notices(own: Server) -> None:
    async def scene() -> None:
        store = AsyncRedisStore(own.url, prefix=fresh(), deadline=30)
        await store.run(Peek((USD,)))
        own.pause()
        calls = [asyncio.create_task(store.run(Reserve(f"r{n}", (Hold(USD, None, 1),)))) for n in range(10)]
        await asyncio.sleep(0)
        for call in calls[::3]:
            call.cancel()
        await asyncio.wait(calls[::3])
        own.resume()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for number, answer in enumerate(answers):
            assert isinstance(answer, asyncio.CancelledError if number % 3 == 0 else Granted)
        await store.run(Reserve("after", HOLD))
        await store.close()

    asyncio.run(scene())


def test_a_caller_that_gives_up_while_connecting(own: Server) -> None:
    async def scene() -> None:
        store = AsyncRedisStore(own.url, prefix=fresh(), deadline=30)
        own.pause()
        calls = [asyncio.create_task(store.run(Peek((USD,)))) for _ in range(3)]
        await asyncio.sleep(0)
        calls[0].cancel()
        await asyncio.wait(calls[:1])
        own.resume()
        assert await asyncio.gather(*calls[1:]) == [(State(0, 0),)] * 2
        await store.close()

    asyncio.run(scene())


def test_one_store_in_one_event_loop_after_another(server: Server) -> None:
    store = AsyncRedisStore(server.url, prefix=fresh())
    for number in range(2):
        asyncio.run(store.run(Reserve(f"r{number}", (Hold(USD, None, 1),))))

    async def last() -> None:
        assert await store.run(Peek((USD,))) == (State(0, 2),)
        await store.close()

    asyncio.run(last())


def test_threads_share_a_store(server: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = RedisStore(server.url, prefix=fresh())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: store.run(Reserve(f"r{n}", (Hold(USD, 100, 1),))), range(150)))
    assert sum(isinstance(answer, Granted) for answer in answers) == 100
    assert store.run(Peek((USD,))) == (State(0, 100),)
    store.close()


UNWILLING = {
    "OOM": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"), "memory is full"),
    "READONLY": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"), "read-only replica"),
    "NOREPLICAS": (
        ("CONFIG", "SET", "min-replicas-to-write", "1"),
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
        "too few replicas",
    ),
}


@pytest.mark.parametrize("code", UNWILLING)
def test_a_server_that_will_not(opened: Callable[..., Store], own: Server, code: str) -> None:
    make, undo, said = UNWILLING[code]
    store = opened(own.url)
    store.run(Reserve("r", HOLD))
    with own.client() as client:
        client.execute_command(*make)
        with pytest.raises(StoreUnavailable, match=said):
            store.run(Reserve("s", (Hold(USD, 100, 1),)))
        if code != "OOM":
            with pytest.raises(StoreUnavailable, match=said):
                store.run(Settle("r", (Charge(USD, 1),), Entry("r")))
            client.execute_command(*undo)
        assert store.run(Peek((USD,))) == (State(0, 60),)
        assert store.run(Settle("r", (Charge(USD, 1),), Entry("r"))).outcome == "settled", "even with no memory left"
        client.execute_command(*undo)


def test_a_password(opened: Callable[..., Store], own: Server) -> None:
    with own.client() as client:
        client.config_set("requirepass", "s3cret")
    with pytest.raises(StoreUnavailable, match="password"):
        opened(own.url).run(Peek((USD,)))
    with pytest.raises(StoreUnavailable) as refused:
        opened(own.url.replace("unix://", "unix://:wr0ng@")).run(Peek((USD,)))
    assert "wr0ng" not in str(refused.value)
    assert opened(own.url.replace("unix://", "unix://:s3cret@")).run(Peek((USD,))) == (State(0, 0),)


@pytest.mark.parametrize("code", NOT_NOW)
def test_every_code_has_its_words(code: str) -> None:
    for text in (f"{code} and more", f"ERR Error running script: @user_script:5: -{code} and more"):
        error = fault(redis.ResponseError(text), "redis://here", "k")
        assert isinstance(error, StoreUnavailable)
        assert NOT_NOW[code] in str(error)


def test_a_url_is_shown_without_its_secrets() -> None:
    assert place_of("rediss://me:pa@ss@db.example:6380/2?ssl_ca_certs=x") == "rediss://db.example:6380/2"
    assert place_of("unix://:secret@/run/redis.sock?db=1") == "unix:///run/redis.sock"
