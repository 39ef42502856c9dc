"""Records that the ledger never wrote: named, admitted on by nobody, and left as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from ledger.servers import Server
from ledger.stores import fresh
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.ledger import (
    Charge,
    Counter,
    Counters,
    Entries,
    Entry,
    Hold,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
)
from weighbridge.core.shelves import Fetch, Look, Put, Version
from weighbridge.ledger import Store

USD = Counter("month", "nano_usd", "lifetime", ())
HOLD = (Hold(USD, 100, 60),)

BROKEN: dict[str, tuple[list[tuple[str, ...]], Any, str]] = {
    "spent is text": ([("HSET", "counters", f"s:{USD.field}", "x")], Reserve("n", HOLD), "s:month"),
    "spent is a float": ([("HSET", "counters", f"s:{USD.field}", "1.5")], Reserve("n", HOLD), "s:month"),
    "spent is hex": ([("HSET", "counters", f"s:{USD.field}", "0x10")], Reserve("n", HOLD), "s:month"),
    "held is negative": ([("HSET", "counters", f"h:{USD.field}", "-1")], Reserve("n", HOLD), "h:month"),
    "held is too large": ([("HSET", "counters", f"h:{USD.field}", str(2**53))], Reserve("n", HOLD), "h:month"),
    "seen by a settle": ([("HSET", "counters", f"s:{USD.field}", "")], Settle("o", (Charge(USD, 1),)), "s:month"),
    "seen by a release": ([("HSET", "counters", f"h:{USD.field}", "?")], Settle("o"), "h:month"),
    "seen by a peek": ([("HSET", "counters", f"s:{USD.field}", "x")], Peek((USD,)), "counters"),
    "seen by a list": ([("HSET", "counters", "s:what", "1")], Counters(), "counters"),
    "hold is text": ([("HSET", "holds", "o", "rubbish")], Settle("o"), "holds o"),
    "hold is empty": ([("HSET", "holds", "o", "")], Renew("o"), "holds o"),
    "hold of no version": ([("HSET", "holds", "o", "2 open 5")], Reserve("o", HOLD), "holds o"),
    "hold of no state": ([("HSET", "holds", "o", "1 shut 5")], Reserve("o", HOLD), "holds o"),
    "hold with half a pair": ([("HSET", "holds", "o", "1 open 5 f")], Reserve("o", HOLD), "holds o"),
    "hold with no units": ([("HSET", "holds", "o", "1 open f 5 5")], Reserve("o", HOLD), "holds o"),
    "hold with a float": ([("HSET", "holds", "o", "1 open 5 f 1.5")], Settle("o"), "holds o"),
    "expired hold is text": (
        [("HSET", "holds", "o", "rubbish"), ("ZADD", "leases", "1", "o")],
        Reserve("n", HOLD),
        "holds o",
    ),
    "counters of another type": ([("DEL", "counters"), ("SET", "counters", "x")], Reserve("n", HOLD), "counters"),
    "counters, peeked at": ([("DEL", "counters"), ("SET", "counters", "x")], Peek((USD,)), "counters"),
    "holds of another type": ([("DEL", "holds"), ("SET", "holds", "x")], Settle("n"), "holds"),
    "leases of another type": ([("DEL", "leases"), ("SET", "leases", "x")], Reserve("n", HOLD), "leases"),
    "leases, renewed": ([("DEL", "leases"), ("SET", "leases", "x")], Renew("o"), "leases"),
    "due of another type": ([("DEL", "due"), ("SET", "due", "x")], Reserve("n", HOLD), "due"),
    "journal of another type": ([("SET", "journal", "x")], Settle("o", (), Entry("o")), "journal"),
    "journal of another hand": ([("XADD", "journal", "*", "e", "{}")], Entries(), "journal"),
    "journal without JSON": ([("XADD", "journal", "*", "x", "?")], Entries(), "journal"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_corrupt_records(opened: Callable[..., Store], server: Server, name: str) -> None:
    commands, verb, said = BROKEN[name]
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    store.run(Reserve("o", (Hold(USD, 100, 10),)))
    with server.client() as client:
        for word, key, *rest in commands:
            client.execute_command(word, f"{prefix}:{{0}}:{key}", *rest)
        before = _all(client, prefix)
        with pytest.raises(StoreCorrupt, match=said):
            store.run(verb)
        assert _all(client, prefix) == before


def test_corrupt_shelves(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    store.run(Put("keys", {"a": 1}))
    with server.client() as client:
        client.hset(f"{prefix}:{{keys}}:policies", "b", "{")
        client.set(f"{prefix}:{{keys}}:policies:version", "x")
    for verb in (Fetch("keys"), Look("keys", "b"), Version("keys"), Put("keys", {"c": 1})):
        with pytest.raises(StoreCorrupt, match="keys"):
            store.run(verb)
    assert store.run(Look("keys", "c")) is None


def test_a_lease_without_its_record_is_dropped(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    with server.client() as client:
        client.zadd(f"{prefix}:{{0}}:leases", {"ghost": 1})
    store.run(Reserve("r", HOLD))
    assert [name for name, _ in store.run(OpenHolds())] == ["r"]


def _all(client: redis.Redis, prefix: str) -> dict[str, Any]:
    with redis.Redis(connection_pool=client.connection_pool) as raw:
        keys = sorted(raw.keys(f"{prefix}:*"))  # type: ignore[arg-type, type-var]
        raw.connection_pool.connection_kwargs["decode_responses"] = False
        return {key: [raw.object("encoding", key), _content(raw, key)] for key in keys}


def _content(raw: redis.Redis, key: str) -> Any:
    read = {"hash": "HGETALL", "string": "GET", "stream": "XLEN"}
    kind = raw.type(key)
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    return raw.zrange(key, 0, -1, withscores=True) if kind == "zset" else raw.execute_command(read[kind], key)
