"""The two guards over the memory ledger: the same flows, once with `await` and once without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from gates import Gate, raw
from weighbridge.core.errors import Refused, StoreUnavailable
from weighbridge.core.ledger import Entries, OpenHolds, Reserve, Settle
from weighbridge.core.model import NeverSent, Reported, Usage
from weighbridge.desk import SETTLE_PAUSES
from weighbridge.hooks import Admitted, Closed, TurnedAway, Unsettled

BUDGET = {"name": "day", "limit": {"usd": "0.01"}, "window": "day"}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr("weighbridge.desk.SETTLE_PAUSES", (0.0,) * len(SETTLE_PAUSES))
    yield Gate(request.param)


def test_a_request_from_the_gate_to_its_settlement(gate: Gate) -> None:
    gate.policies(BUDGET)
    ticket = gate.open()
    assert gate.counters() == [("day", 0, ticket.held_nano)]
    assert gate.do(gate.guard.close(ticket, Reported(Usage(input=9, output=3)))).outcome == "settled"
    assert gate.counters() == [("day", 12_000, 0)]
    assert gate.do(gate.guard.close(ticket, Reported(Usage(input=9, output=3)))).outcome == "already"
    assert [type(event) for event in gate.events] == [Admitted, Closed, Closed]
    (entry,) = gate.store.run(Entries())
    closed = gate.events[1]
    assert isinstance(closed, Closed) and closed.entry is not None and closed.entry.output == 3
    assert (closed.refunded_nano, closed.overrun_nano) == (ticket.held_nano - 12_000, 0)
    assert (entry.id, entry.team, entry.nano_usd) == (ticket.id, "research", 12_000)


def test_what_was_never_sent_is_given_back(gate: Gate) -> None:
    gate.policies(BUDGET)
    gate.do(gate.guard.close(gate.open(), NeverSent("no route")))
    assert gate.counters() == [("day", 0, 0)]
    assert gate.store.run(Entries()) == ()


def test_new_policies_are_in_force_within_a_second(gate: Gate) -> None:
    gate.open()
    gate.policies({"name": "none", "models": {"deny": ["*"]}})
    with pytest.raises(Refused, match="does not allow"):
        gate.open()
    assert isinstance(gate.events[-1], TurnedAway) and gate.events[-1].weighed is not None


@pytest.mark.parametrize("big", [False, True], ids=["inline", "in a thread"])
def test_a_body_that_cannot_be_read(gate: Gate, big: bool) -> None:
    gate.policies(BUDGET)
    with pytest.raises(Refused) as refused:
        gate.open(messages="x" * (100_000 if big else 1))
    assert (refused.value.reason, gate.counters()) == ("malformed", [])
    assert isinstance(gate.events[-1], TurnedAway)


def test_checking_holds_nothing(gate: Gate) -> None:
    gate.policies(BUDGET)
    assert gate.do(gate.guard.check(raw())).decision == "admit"
    assert gate.counters() == []


def test_the_stores_clock_is_believed(gate: Gate) -> None:
    gate.policies(BUDGET)
    gate.open()
    before = gate.desk.now()
    ours, gate.clock.now = gate.clock.now, gate.clock.now + 2 * 86_400_000
    store_clock = gate.clock.now
    gate.store.store._clock = lambda: store_clock
    gate.clock.now = ours
    ticket = gate.open()
    assert ticket.holds[0].counter.start > before
    assert gate.desk.now() == store_clock


@pytest.mark.parametrize(("rule", "decision"), [("reject", None), ("admit", "admit")])
def test_a_store_that_is_down(gate: Gate, rule: str, decision: str | None) -> None:
    gate.policies(BUDGET, on_store_error=rule)
    gate.open()
    gate.store.down = lambda verb: isinstance(verb, Reserve)
    if decision is None:
        with pytest.raises(Refused) as refused:
            gate.open()
        assert (refused.value.reason, refused.value.status) == ("store_down", 503)
        return
    ticket = gate.open()
    assert ticket.states == ()
    gate.store.down = lambda verb: False
    assert gate.do(gate.guard.close(ticket, Reported(Usage(input=9)))).outcome == "late"
    assert gate.counters()[0][1] == 9_000


def test_a_store_that_was_never_there_refuses(gate: Gate) -> None:
    gate.store.down = lambda verb: True
    with pytest.raises(Refused) as refused:
        gate.open()
    assert refused.value.reason == "store_down"


def test_a_settlement_whose_answer_was_lost_is_repeated_and_charged_once(gate: Gate) -> None:
    gate.policies(BUDGET)
    ticket = gate.open()
    fails = iter([True, True])
    gate.store.down, gate.store.loses = (lambda verb: isinstance(verb, Settle) and next(fails, False)), True
    assert gate.do(gate.guard.close(ticket, Reported(Usage(input=9)))).outcome == "already"
    assert gate.counters() == [("day", 9_000, 0)]


def test_a_settlement_nobody_takes_is_told(gate: Gate) -> None:
    gate.policies(BUDGET)
    ticket = gate.open()
    gate.store.down = lambda verb: isinstance(verb, Settle)
    with pytest.raises(StoreUnavailable):
        gate.do(gate.guard.close(ticket, Reported(Usage(input=9))))
    assert isinstance(gate.events[-1], Unsettled)


def test_a_caller_that_leaves_while_its_hold_is_under_way_leaves_nothing_held() -> None:
    async def scene() -> None:
        gate = Gate(waits=True)
        gate.policies(BUDGET)
        gate.guard.store.hang = asyncio.Event()
        opening = asyncio.ensure_future(gate.guard.open(raw()))
        while not gate.store.run(OpenHolds()):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        while gate.store.run(OpenHolds()):
            await asyncio.sleep(0)
        assert gate.counters() == [("day", 0, 0)]

    asyncio.run(scene())
