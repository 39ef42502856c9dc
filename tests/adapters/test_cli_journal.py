"""`journal export` and `journal import`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.commands import Run, answer, until
from weighbridge.core.archive import settlement_of
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Charge, Counter, Entries, Entry, Peek, Settle, State
from weighbridge.ledger import Store
from weighbridge.ledger.embedded import socket_path
from weighbridge.ledger.redis import RedisStore
from weighbridge.ledger.upkeep import Upkeep
from weighbridge.settings import load
from weighbridge.wiring import store as open_store

USD = Counter("a|b", "nano_usd", "lifetime", (("team", "re search"),))
START = 1_790_000_000_000


@pytest.fixture
def place() -> Iterator[Callable[[str], str]]:
    """Fresh embedded stores by name."""
    with tempfile.TemporaryDirectory(prefix="wbj") as folder:
        kept: list[Store] = []

        def of(name: str) -> str:
            kept.append(open_store(load(store=f"embedded:{folder}/{name}")))
            return f"embedded:{folder}/{name}"

        yield of
        for store in kept:
            store.close()
        for found in Path(folder).iterdir():
            until(lambda found=found: not socket_path(found).exists())  # type: ignore[misc]


def settled(url: str, numbers: range) -> None:
    store = open_store(load(store=url))
    for n in numbers:
        entry = Entry(
            f"call {n}", team="re search", tags={"run": str(n)}, model="gpt-4o", nano_usd=10, ending="reported"
        )
        store.run(Settle(f"call {n}", (Charge(USD, 10),), entry, now=START + n))
    store.close()


def test_there_and_back(run: Run, place: Callable[[str], str], tmp_path: Path) -> None:
    one, other = place("one"), place("other")
    settled(one, range(20))
    file = tmp_path / "journal.jsonl"
    assert run("journal", "export", "-o", str(file), "--store", one).exit_code == 0
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 20
    assert lines[0]["at"] == "2026-09-21T14:13:20Z" and lines[1]["at"] == "2026-09-21T14:13:20.001Z"
    assert lines[3]["id"] == "call 3" and lines[3]["charges"] == [[USD.field, 10]]
    assert run("journal", "export", "--store", one).stdout == file.read_text()

    settled(other, range(5))
    assert answer(run("journal", "import", str(file), "--store", other, "--json"))["imported"] == 15
    again = answer(run("journal", "import", str(file), "--store", other, "--json"))
    assert again == {"imported": 0, "known": 20, "too_old": 0, "damaged": 0}
    copy = RedisStore(f"unix://{socket_path(Path(other.partition(':')[2]))}")
    source = RedisStore(f"unix://{socket_path(Path(one.partition(':')[2]))}")
    assert copy.run(Peek((USD,))) == source.run(Peek((USD,))) == (State(200, 0),)
    assert [(e.id, e.at, e.tags) for e in copy.run(Entries())] == [(e.id, e.at, e.tags) for e in source.run(Entries())]
    assert answer(run("audit", "--store", other, "--json"))["ok"]
    copy.close()
    source.close()


def test_a_part_is_exported(run: Run, place: Callable[[str], str]) -> None:
    one = place("one")
    settled(one, range(3))
    assert run("journal", "export", "--since", "1h", "--store", one).stdout == ""
    assert len(run("journal", "export", "--month", "2026-09", "--store", one).stdout.splitlines()) == 3
    assert len(run("journal", "export", "--until", "2026-09-01", "--store", one).stdout.splitlines()) == 0


def test_what_may_be_in_the_counters_already_is_left_out(run: Run, place: Callable[[str], str], tmp_path: Path) -> None:
    one = place("one")
    settled(one, range(8))
    file = tmp_path / "journal.jsonl"
    run("journal", "export", "-o", str(file), "--store", one)
    capped = RedisStore(f"unix://{socket_path(Path(one.partition(':')[2]))}", upkeep=Upkeep(journal_cap=4))
    for n in range(10, 13):
        capped.run(Settle(f"n{n}", (Charge(USD, 10),), Entry(f"n{n}"), now=START + n))
    capped.close()
    found = answer(run("journal", "import", str(file), "--store", one, "--json"))
    assert found["imported"] == found["damaged"] == 0 and found["too_old"] > 0


def test_damaged_lines_are_named(run: Run, place: Callable[[str], str], file: Callable[..., str]) -> None:
    good = json.dumps({"at": "2026-09-21T00:00:00Z", "id": "x", "charges": [[USD.field, 1]]})
    said = run("journal", "import", file(f"{{\n{good}\n[]\n"), "--store", place("one"), "--json")
    assert said.exit_code == 1
    assert json.loads(said.stdout) == {"imported": 1, "known": 0, "too_old": 0, "damaged": 2}
    assert "line 1 is not JSON" in said.stderr and "line 3 is not an entry" in said.stderr


GOOD = {"at": "2026-09-21T00:00:00Z", "id": "x", "charges": [[USD.field, 1]]}
BAD = {
    "no id": {"id": ""},
    "an id that is none": {"id": 5},
    "no time": {"at": None},
    "a time that is none": {"at": "noon"},
    "tokens that are text": {"input": "5"},
    "tokens that are true": {"input": True},
    "tags that are a list": {"tags": []},
    "a charge of a float": {"charges": [[USD.field, 1.5]]},
    "a negative charge": {"charges": [[USD.field, -1]]},
    "a charge on no counter": {"charges": [["what", 1]]},
    "half a charge": {"charges": [[USD.field]]},
}


@pytest.mark.parametrize("change", BAD.values(), ids=BAD)
def test_lines_that_are_no_entries(change: dict[str, object]) -> None:
    assert settlement_of(GOOD).charges == (Charge(USD, 1),)
    with pytest.raises(ConfigError, match="not an entry"):
        settlement_of({**GOOD, **change})
