"""Each way of mending: what it does, and when it leaves things alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.servers import Server
from ledger.stores import fresh
from ledger.test_audit import USD
from weighbridge.core.books import Mend, Recount, Step
from weighbridge.core.ledger import LARGEST
from weighbridge.ledger import Store

F = USD.field
BIG = F.replace("month", "big")
OPEN = f"1 open 5 5 {F} 7"
HASH = {
    "counters": {f"s:{F}": "70", f"h:{F}": "7", "s:what": "1", f"b:{F}": "x", f"s:{BIG}": str(LARGEST + 1)},
    "holds": {"o": OPEN, "e": "1 ended 5 5"},
}

ROWS: dict[str, tuple[Step, bool, dict[str, Any]]] = {
    "add": (Step("add", F, "spent", amount=5), True, {f"s:{F}": "75"}),
    "take": (Step("add", F, "held", amount=-5), True, {f"h:{F}": "2"}),
    "never below nothing": (Step("add", F, "held", amount=-8), True, {f"h:{F}": "0"}),
    "never above the largest": (Step("add", F, "spent", amount=LARGEST), True, {f"s:{F}": str(LARGEST)}),
    "not to what is no number": (Step("add", F, "base", amount=5), False, {}),
    "not to what is too large": (Step("add", BIG, "spent", amount=5), False, {}),
    "set": (Step("set", F, "base", "x", 9), True, {f"b:{F}": "9"}),
    "not set where it changed": (Step("set", F, "base", "y", 9), False, {}),
    "drop": (Step("drop", "s:what", found="1"), True, {"s:what": None}),
    "not dropped where it changed": (Step("drop", "s:what", found="2"), False, {}),
    "end": (Step("end", "o", found=OPEN), True, {"o": "1 expired 0 0", "lease o": None}),
    "not ended where it changed": (Step("end", "o", found="rubbish"), False, {}),
    "unlease": (Step("unlease", "e"), True, {"lease e": None}),
    "not unleased while open": (Step("unlease", "o"), False, {}),
    "no lease to drop": (Step("unlease", "nobody"), False, {}),
}
"""The step, whether it is done, and what is there then (None: nothing)."""


def _seen(client: Any, key: str) -> dict[str, Any]:
    leases = {f"lease {id}": ends for id, ends in client.zrange(f"{key}leases", 0, -1, withscores=True)}
    return {**client.hgetall(f"{key}counters"), **client.hgetall(f"{key}holds"), **leases}


@pytest.mark.parametrize("name", ROWS)
def test_a_step(opened: Callable[..., Store], server: Server, name: str) -> None:
    step, done, change = ROWS[name]
    prefix = fresh()
    store, key = opened(server.url, prefix=prefix), f"{prefix}:{{0}}:"
    with server.client() as client:
        for book, rows in HASH.items():
            client.hset(f"{key}{book}", mapping=rows)
        client.zadd(f"{key}leases", {"o": 2**44, "e": 2**44})
        before = _seen(client, key)
        assert store.run(Mend((step,))) == (done,)
        expected = {name: value for name, value in {**before, **change}.items() if value is not None}
        assert _seen(client, key) == expected


def test_what_comes_into_being_is_due(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    steps = (
        Step("add", "m|nano_usd|month||0|5|0", "spent", amount=1, purge=77),
        Step("add", "m|nano_usd|month||0|5|0", "held", amount=1, purge=78),
        Step("add", F, "spent", amount=1),
        Step("end", "o", found="rubbish"),
    )
    with server.client() as client:
        client.hset(f"{prefix}:{{0}}:holds", "o", "rubbish")
        assert store.run(Mend(steps, now=1000)) == (True,) * 4
        due = dict(client.zrange(f"{prefix}:{{0}}:due", 0, -1, withscores=True))
    assert due == {"cm|nano_usd|month||0|5|0": 77, "ho": 1000 + 48 * 3_600_000}


def test_a_journal_line_is_struck_once(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    with server.client() as client:
        client.xadd(f"{prefix}:{{0}}:journal", {"e": "{"}, "5-1")
        step = Step("strike", "5-1", found="{")
        assert store.run(Mend((step, step))) == (True, False)
        assert client.hgetall(f"{prefix}:{{0}}:aside") == {"journal 5-1": "{"}


@pytest.mark.parametrize(("holds", "whole"), [(3, True), (4, False)])
def test_a_recount_adds_up_so_many_holds(
    opened: Callable[..., Store], server: Server, monkeypatch: pytest.MonkeyPatch, holds: int, whole: bool
) -> None:
    monkeypatch.setattr("weighbridge.ledger.pages.MOST_OPEN", 3)
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    with server.client() as client:
        for n in range(holds):
            client.hset(f"{prefix}:{{0}}:holds", f"h{n}", OPEN)
            client.zadd(f"{prefix}:{{0}}:leases", {f"h{n}": n})
        # One that has ended, and one that cannot be read, add nothing.
        client.hset(f"{prefix}:{{0}}:holds", mapping={"h0": f"1 ended 5 5 {F} 7", "h1": "rubbish"})
    found = store.run(Recount(("other|calls||", F)))
    assert found.whole is whole
    assert [one.open for one in found.figures] == [0, 7 if whole else 0]


def test_a_recount_of_many(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    fields = tuple(f"p|calls|||{n}|0|0" for n in range(2500))
    with server.client() as client:
        client.hset(f"{prefix}:{{0}}:counters", mapping={f"s:{field}": str(n) for n, field in enumerate(fields)})
        for n in range(1500):
            client.hset(f"{prefix}:{{0}}:holds", f"h{n}", f"1 open 0 0 {fields[n % 1000]} {n}")
            client.zadd(f"{prefix}:{{0}}:leases", {f"h{n}": n})
    found = store.run(Recount(fields))
    assert [one.spent for one in found.figures] == [str(n) for n in range(2500)]
    assert [one.open for one in found.figures] == [
        2 * n + 1000 if n < 500 else n if n < 1000 else 0 for n in range(2500)
    ]
