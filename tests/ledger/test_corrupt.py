"""Records that the ledger never wrote: named, admitted on by nobody, and left as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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
    Extend,
    Hold,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    State,
)
from weighbridge.core.shelves import Fetch, Look, Put, Version
from weighbridge.ledger import Store

USD = Counter("month", "nano_usd", "lifetime", ())
HOLD = (Hold(USD, 100, 60),)
OBSERVED = (Hold(USD, 100, 1, 1000, "h"),)
BUCKET = Counter("calls", "requests", "rolling 1m", (), 10_000, 11_000, 60_000)
BEFORE, LATER = replace(BUCKET, start=0, end=1000), replace(BUCKET, start=20_000, end=21_000)

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
    "hold of no version": ([("HSET", "holds", "o", "2 open 5 5")], Reserve("o", HOLD), "holds o"),
    "hold of no state": ([("HSET", "holds", "o", "1 shut 5 5")], Reserve("o", HOLD), "holds o"),
    "hold with half a pair": ([("HSET", "holds", "o", "1 open 5 5 f")], Reserve("o", HOLD), "holds o"),
    "hold with no units": ([("HSET", "holds", "o", "1 open f 5 f 5")], Reserve("o", HOLD), "holds o"),
    "hold with a float": ([("HSET", "holds", "o", "1 open 5 5 f 1.5")], Settle("o"), "holds o"),
    "hold that covers a float": ([("HSET", "holds", "o", "1 open 5 1.5")], Settle("o"), "holds o"),
    "hold, extended": ([("HSET", "holds", "o", "rubbish")], Extend("o", HOLD, 5), "holds o"),
    "history is text": ([("HSET", "counters", "o:h", "rubbish")], Reserve("n", OBSERVED), "o:h"),
    "history of no version": ([("HSET", "counters", "o:h", "2 5 1 1")], Reserve("n", OBSERVED), "o:h"),
    "history of nothing": ([("HSET", "counters", "o:h", "1 5")], Reserve("n", OBSERVED), "o:h"),
    "history with half a bin": ([("HSET", "counters", "o:h", "1 5 1 1 2")], Reserve("n", OBSERVED), "o:h"),
    "history out of order": ([("HSET", "counters", "o:h", "1 5 2 1 1 1")], Reserve("n", OBSERVED), "o:h"),
    "history of a bin twice": ([("HSET", "counters", "o:h", "1 5 2 1 2 1")], Reserve("n", OBSERVED), "o:h"),
    "history of a bin too far": ([("HSET", "counters", "o:h", "1 5 128 1")], Reserve("n", OBSERVED), "o:h"),
    "history of none": ([("HSET", "counters", "o:h", "1 5 1 0")], Reserve("n", OBSERVED), "o:h"),
    "history of too many": ([("HSET", "counters", "o:h", "1 5 1 256")], Reserve("n", OBSERVED), "o:h"),
    "history of a time that is none": ([("HSET", "counters", "o:h", "1 x 1 1")], Reserve("n", OBSERVED), "o:h"),
    "history, taught": ([("HSET", "counters", "o:h", "?")], Settle("o", output=1, histories=("h",)), "o:h"),
    "history, due": (
        [("HSET", "counters", "o:h", "?"), ("ZADD", "due", "1", "oh")],
        Reserve("n", HOLD),
        "o:h",
    ),
    "a bucket is text": (
        [("HSET", "counters", f"s:{BUCKET.field}", "x")],
        Reserve("n", (Hold(BEFORE, 5, 1),)),
        "s:calls",
    ),
    "a bucket, peeked at": ([("HSET", "counters", f"h:{BUCKET.field}", "x")], Peek((LATER,)), "counters"),
    "due of no kind": ([("ZADD", "due", "1", "x")], Reserve("n", HOLD), "due x"),
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


def test_a_held_amount_that_went_missing_goes_no_lower_than_nothing(
    opened: Callable[..., Store], server: Server
) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    store.run(Reserve("r", HOLD))
    with server.client() as client:
        client.hset(f"{prefix}:{{0}}:counters", f"h:{USD.field}", "59")
    store.run(Settle("r"))
    assert store.run(Peek((USD,))) == (State(0, 0),)


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
