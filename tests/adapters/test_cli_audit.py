"""`audit` as people and programs call it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from adapters.commands import Run, answer, until
from weighbridge.core.ledger import Charge, Counter, Entry, Hold, Peek, Reserve, Settle, State
from weighbridge.ledger import Store
from weighbridge.ledger.embedded import join, socket_path
from weighbridge.ledger.redis import RedisStore

USD = Counter("research-month", "nano_usd", "month", (("team", "research"),), 1_790_812_800_000, 4_000_000_000_000)
KEY = "weighbridge:{0}"


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """An embedded server of this module's own, which others do not write to."""
    with tempfile.TemporaryDirectory(prefix="wba") as name:
        joined = join(Path(name, "store"))
        yield Path(name, "store")
        joined.close()
        until(lambda: not socket_path(Path(name, "store")).exists())


@pytest.fixture
def books(place: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Store, redis.Redis]]:
    """A store with one settled and one open call, and a client to tamper with it."""
    monkeypatch.setenv("WEIGHBRIDGE_STORE", f"embedded:{place}")
    with redis.Redis(unix_socket_path=str(socket_path(place)), decode_responses=True) as client:
        client.flushall()
        store = RedisStore(f"unix://{socket_path(place)}")
        store.run(Reserve("settled", (Hold(USD, None, 100),)))
        store.run(Settle("settled", (Charge(USD, 70),), Entry("settled")))
        store.run(Reserve("open", (Hold(USD, None, 100),)))
        yield store, client
        store.close()


def test_clean_books(run: Run, books: object) -> None:
    found = answer(run("audit", "--json"))
    assert found == {"ok": True, "checked": {"counters": 1, "holds": 1, "entries": 1}, "drift": []}
    said = run("audit")
    assert said.exit_code == 0 and "agree" in said.stdout
    assert answer(run("audit", "--repair", "--json"))["repaired"] == {"done": 0, "failed": 0}


def test_drift_is_found_and_mended(run: Run, books: tuple[Store, redis.Redis]) -> None:
    store, client = books
    client.hincrby(f"{KEY}:counters", f"s:{USD.field}", -20)
    client.hset(f"{KEY}:counters", f"h:{USD.field}", "many")
    row = {"policy": "research-month", "scope": {"team": "research"}}
    drift = [
        {**row, "field": "spent", "expected": 70, "found": 50},
        {**row, "field": "held", "expected": 100, "found": "many"},
    ]
    found = answer(run("audit", "--json"), 1)
    assert (found["ok"], found["drift"]) == (False, drift)
    said = run("audit").stdout
    for words in ("research-month", "team research", "'many'", "weighbridge audit --repair"):
        assert words in said
    mended = answer(run("audit", "--repair", "--json"), 1)
    assert (mended["drift"], mended["repaired"]) == (drift, {"done": 2, "failed": 0})
    assert answer(run("audit", "--json"))["ok"]
    assert store.run(Peek((USD,))) == (State(70, 100),)


def test_damaged_records_are_named(run: Run, books: tuple[Store, redis.Redis]) -> None:
    _, client = books
    client.hset(f"{KEY}:holds", "open", b"1 op\xff" + b"x" * 500)
    client.xadd(f"{KEY}:journal", {"e": "{"})
    found = answer(run("audit", "--json"), 1)
    fields = {row["field"].partition(" ")[0]: row for row in found["drift"] if row["policy"] is None}
    assert fields["holds"]["what"] == "not a hold" and fields["holds"]["field"] == "holds open"
    assert len(fields["holds"]["found"]) < 200
    assert fields["journal"]["found"] == "{"
    said = run("audit", "--repair")
    assert said.exit_code == 1 and "mended" in said.stdout and "not a journal entry" in said.stdout
    assert answer(run("audit", "--json"))["ok"]


def test_a_key_of_another_type(run: Run, books: tuple[Store, redis.Redis]) -> None:
    store, client = books
    client.delete(f"{KEY}:counters")
    client.set(f"{KEY}:counters", "x")
    [row] = answer(run("audit", "--json"), 1)["drift"]
    assert row["field"] == "counters"
    assert run("audit", "--repair").exit_code == 1
    assert answer(run("audit", "--json"))["ok"]
    assert store.run(Peek((USD,))) == (State(70, 100),)


def test_audit_of_no_store(run: Run, file: Callable[..., str]) -> None:
    assert answer(run("audit", "--store", "memory://", "--json"))["ok"]
    said = run("audit", "--store", "redis://127.0.0.1:1")
    assert said.exit_code == 2 and said.stderr.count("\n") == 1


def test_a_long_list_is_cut(run: Run, books: tuple[Store, redis.Redis]) -> None:
    _, client = books
    client.hset(f"{KEY}:counters", mapping={f"s:what{n}": "1" for n in range(60)})
    assert "... and 10 more" in run("audit").stdout
    assert len(answer(run("audit", "--json"), 1)["drift"]) == 60
