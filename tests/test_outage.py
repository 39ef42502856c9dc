"""What becomes of calls while the store does not answer, and of what they used when it is back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gates import Gate
from weighbridge.core.errors import Refused, StoreUnavailable
from weighbridge.core.ledger import Entries, OpenHolds, Renew, Reserve, Settle, Verb
from weighbridge.core.model import NeverSent, Principal, Reported, Usage
from weighbridge.desk import SETTLE_PAUSES
from weighbridge.hooks import Closed, Unsettled
from weighbridge.outage import LOOK_MS

BUDGET = {"name": "day", "match": {"team": "*"}, "limit": {"usd": 10}, "window": "day"}
USED = Reported(Usage(input=100_000))
"""Ten cents: a worker's whole share of ten dollars."""


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def gate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    monkeypatch.setattr("weighbridge.desk.SETTLE_PAUSES", (0.0,) * len(SETTLE_PAUSES))
    yield Gate(request.param)


class Silence:
    """Makes a gate's store silent, and counts how often it is asked all the same."""

    def __init__(self, gate: Gate) -> None:
        self.asked: list[Verb[Any]] = []
        self.gate = gate
        gate.store.down = self

    def __call__(self, verb: Verb[Any]) -> bool:
        self.asked.append(verb)
        return True

    def over(self) -> None:
        self.gate.store.down = lambda verb: False
        self.gate.clock.now += LOOK_MS


def silent(gate: Gate, rule: str, *more: dict[str, Any]) -> Silence:
    gate.policies(BUDGET, *more, on_store_error=rule)
    gate.close(gate.open(), NeverSent("to read the policies"))
    gate.clock.now += LOOK_MS
    return Silence(gate)


@pytest.mark.parametrize("rule", ["reject", "admit", "slice"])
def test_only_one_call_a_second_waits_for_a_store_that_is_silent(gate: Gate, rule: str) -> None:
    silence = silent(gate, rule)
    for second in range(1, 4):
        for _ in range(5):
            try:
                gate.open()
            except Refused as refused:
                assert (rule, refused.reason) == ("reject", "store_down")
        assert len(silence.asked) == second
        gate.clock.now += LOOK_MS


def test_a_clock_that_is_put_back_does_not_make_it_wait(gate: Gate) -> None:
    silence = silent(gate, "admit")
    gate.open()
    gate.clock.now -= 3_600_000
    gate.open()
    assert len(silence.asked) == 2


def test_a_slice_admits_its_share_and_no_more(gate: Gate) -> None:
    silence = silent(gate, "slice")
    ticket = gate.open()
    assert ticket.local and ticket.states == ()
    with pytest.raises(StoreUnavailable):
        gate.close(ticket, USED)
    assert isinstance(gate.events[-1], Unsettled)
    with pytest.raises(Refused) as refused:
        gate.open()
    assert (refused.value.reason, refused.value.status) == ("store_down", 503)
    assert gate.open(Principal(team="others")).local
    silence.over()


def test_what_was_admitted_from_a_slice_is_charged_when_the_store_is_back(gate: Gate) -> None:
    silence = silent(gate, "slice")
    early, late = gate.open(), gate.open()
    with pytest.raises(StoreUnavailable):
        gate.close(early, Reported(Usage(input=1_000)))
    silence.over()
    gate.close(late, Reported(Usage(input=2_000)))
    assert gate.counters() == [("day", 3_000_000, 0)]
    assert {entry.id for entry in gate.store.run(Entries())} == {early.id, late.id}
    repaid = [event for event in gate.events if isinstance(event, Closed) and event.ticket.id == early.id]
    assert [event.nano_usd for event in repaid] == [1_000_000]
    assert repaid[0].ticket.weighed.body == b"", "a request is not kept for as long as an outage"


def test_a_share_of_few_is_one_at_least(gate: Gate) -> None:
    silent(gate, "slice", {"name": "few", "limit": {"concurrent": 3}})
    first = gate.open()
    with pytest.raises(Refused):
        gate.open()
    with pytest.raises(StoreUnavailable):
        gate.close(first, NeverSent("x"))
    assert gate.open().local


def test_a_lease_in_a_slice_is_renewed_there(gate: Gate) -> None:
    silence = silent(gate, "slice")
    ticket = gate.open()
    asked = len(silence.asked)
    assert gate.do(gate.guard.renew(ticket))
    assert not any(isinstance(verb, Renew) for verb in silence.asked[asked:])


def test_a_hold_whose_answer_was_lost_is_released_when_the_store_is_back(gate: Gate) -> None:
    gate.policies(BUDGET)
    gate.close(gate.open(), NeverSent("to read the policies"))
    gate.store.down, gate.store.loses = (lambda verb: isinstance(verb, Reserve)), True
    with pytest.raises(Refused):
        gate.open()
    assert len(gate.store.run(OpenHolds())) == 1
    gate.store.down = lambda verb: False
    gate.clock.now += LOOK_MS
    gate.close(gate.open(), NeverSent("x"))
    assert gate.store.run(OpenHolds()) == ()


def test_a_settlement_is_never_spared(gate: Gate) -> None:
    gate.policies(BUDGET)
    ticket = gate.open()
    silence = Silence(gate)
    gate.clock.now += LOOK_MS
    with pytest.raises(Refused):
        gate.open()
    with pytest.raises(StoreUnavailable):
        gate.close(ticket, USED)
    assert sum(isinstance(verb, Settle) for verb in silence.asked) == len(SETTLE_PAUSES) + 1
