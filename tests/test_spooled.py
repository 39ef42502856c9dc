"""A gate with a spool: whatever becomes of its process, the next one settles what it left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gates import Gate
from weighbridge.core.errors import Refused, StoreCorrupt, StoreUnavailable
from weighbridge.core.ledger import Entries, Entry, OpenHolds, Settle, Verb
from weighbridge.core.model import CutOff, NeverSent, Reported, Usage
from weighbridge.core.settlement import DIED
from weighbridge.hooks import Closed, Unsettled
from weighbridge.ledger.spool import Spool, left_behind
from weighbridge.outage import LOOK_MS

BUDGET = {"name": "day", "match": {"team": "*"}, "limit": {"usd": 10}, "window": "day"}
USED = Reported(Usage(input=1_000))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def waits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr("weighbridge.desk.SPOOLED_PAUSES", (0.0,))
    return bool(request.param)


@pytest.fixture
def gate(waits: bool, tmp_path: Path) -> Gate:
    made = Gate(waits, Spool(tmp_path))
    made.policies(BUDGET)
    return made


def next_process(gate: Gate, place: Path) -> Gate:
    """The process ends, and another one begins on the same store."""
    gate.desk.shut()
    made = Gate(gate.waits, Spool(place), gate.store.store)
    made.clock.now = gate.clock.now + LOOK_MS
    return made


def left(place: Path) -> list[str]:
    return [id for _, _, found in left_behind(place) for id in found.unsettled]


def entries(gate: Gate) -> dict[str, Entry]:
    return {entry.id: entry for entry in gate.store.store.run(Entries())}


class Silent:
    """Fails every verb, and counts them."""

    def __init__(self) -> None:
        self.asked: list[Verb[Any]] = []

    def __call__(self, verb: Verb[Any]) -> bool:
        self.asked.append(verb)
        return True


def test_a_settled_call_leaves_nothing(gate: Gate, tmp_path: Path) -> None:
    ticket = gate.open()
    assert left(tmp_path) == [ticket.id]
    gate.close(ticket, USED)
    assert left(tmp_path) == []
    gate.desk.shut()
    assert list(tmp_path.iterdir()) == []


def test_a_refused_call_leaves_nothing(gate: Gate, tmp_path: Path) -> None:
    gate.policies({**BUDGET, "limit": {"requests": 0}})
    with pytest.raises(Refused):
        gate.open()
    assert left(tmp_path) == []


def test_no_prompt_is_written_down(gate: Gate, tmp_path: Path) -> None:
    gate.open(messages=[{"role": "user", "content": "a-secret-word"}])
    [file] = tmp_path.iterdir()
    assert b"a-secret-word" not in file.read_bytes()


def test_an_outage_is_not_waited_for(gate: Gate, tmp_path: Path) -> None:
    first, second = gate.open(), gate.open()
    gate.store.down = silent = Silent()
    for ticket in (first, second):
        with pytest.raises(StoreUnavailable):
            gate.close(ticket, USED)
    assert len(silent.asked) == 2, "the first tries twice, and the second is spared"
    assert [type(event) for event in gate.events[-2:]] == [Unsettled, Unsettled]
    assert [found.owed for _, _, found in left_behind(tmp_path)] == [2]


def test_the_same_process_pays_when_the_store_is_back(gate: Gate, tmp_path: Path) -> None:
    ticket = gate.open()
    gate.store.down = Silent()
    with pytest.raises(StoreUnavailable):
        gate.close(ticket, USED)
    assert gate.do(gate.guard.repay()) == 0
    gate.store.down = lambda verb: False
    gate.clock.now += LOOK_MS
    assert gate.do(gate.guard.repay()) == 1
    assert isinstance(gate.events[-1], Closed)
    assert left(tmp_path) == []
    assert gate.counters() == [("day", 1_000_000, 0)]


def test_the_next_process_pays_what_was_owed(gate: Gate, tmp_path: Path) -> None:
    ticket = gate.open()
    gate.store.down = Silent()
    with pytest.raises(StoreUnavailable):
        gate.close(ticket, USED)
    other = next_process(gate, tmp_path)
    other.close(other.open(), NeverSent("its first call"))
    assert entries(other)[ticket.id].ending == "reported"
    assert other.counters() == [("day", 1_000_000, 0)]
    assert left(tmp_path) == []


def test_the_next_process_charges_what_was_open(gate: Gate, tmp_path: Path) -> None:
    plain, stream, noted = gate.open(), gate.open(stream=True), gate.open(stream=True)
    gate.guard.note(noted, CutOff(DIED, Usage(input=50), seen_bytes=900))
    other = next_process(gate, tmp_path)
    assert other.do(other.guard.repay()) == 3
    found = entries(other)
    assert all(entry.ending.startswith(f"cut off: {DIED}") for entry in found.values())
    assert found[plain.id].output == plain.units, "it may have been answered whole"
    assert 0 < found[stream.id].output < 50
    assert (found[noted.id].input, found[noted.id].output) == (50, 300)
    assert not other.store.run(OpenHolds())


def test_what_was_settled_after_all_is_not_charged_twice(gate: Gate, tmp_path: Path) -> None:
    ticket = gate.open()
    gate.store.down, gate.store.loses = (lambda verb: isinstance(verb, Settle)), True
    with pytest.raises(StoreUnavailable):
        gate.close(ticket, USED)
    other = next_process(gate, tmp_path)
    assert other.do(other.guard.repay()) == 1
    assert other.counters() == [("day", 1_000_000, 0)]


def test_what_the_store_will_not_take_is_set_aside(gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ticket = gate.open()
    gate.store.down = Silent()
    with pytest.raises(StoreUnavailable):
        gate.close(ticket, USED)

    def corrupt(verb: Verb[Any]) -> Any:
        raise StoreCorrupt("its hold is no hold")

    gate.store.down = lambda verb: False
    monkeypatch.setattr(gate.store, "run", corrupt)
    gate.clock.now += LOOK_MS
    assert gate.do(gate.guard.repay()) == 0
    assert left(tmp_path) == []
    assert [path.suffix for path in tmp_path.iterdir() if path.suffix == ".torn"] == [".torn"]


def test_more_than_fits_into_memory_waits_on_disk(waits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.outage.MOST_OWED", 3)
    gate = Gate(waits, Spool(tmp_path))
    gate.policies(BUDGET)
    tickets = [gate.open() for _ in range(10)]
    gate.store.down = Silent()
    for ticket in tickets:
        with pytest.raises(StoreUnavailable):
            gate.close(ticket, USED)
    gate.store.down = lambda verb: False
    gate.clock.now += LOOK_MS
    while gate.do(gate.guard.repay()):
        continue
    assert gate.counters() == [("day", 10_000_000, 0)]
    assert left(tmp_path) == []


def test_a_settlement_that_was_cancelled_is_owed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.desk.SPOOLED_PAUSES", (60.0,))
    gate = Gate(True, Spool(tmp_path))
    gate.policies(BUDGET)
    ticket = gate.open()

    async def close() -> None:
        gate.store.down = Silent()
        closing = asyncio.ensure_future(gate.guard.close(ticket, USED))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    asyncio.run(close())
    assert [found.owed for _, _, found in left_behind(tmp_path)] == [1]
