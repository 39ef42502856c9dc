"""The straight line, second half: what each ending charges and gives back."""

from __future__ import annotations

from typing import Any

import pytest
from calls import NOON, asked, planned, rules, weighed
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.admission import Ticket
from weighbridge.core.ledger import Settled, State
from weighbridge.core.model import CutOff, Ending, NeverSent, Reported, Usage
from weighbridge.core.settlement import crossings, settle

LIMITS = [
    {"limit": {"usd": 1}, "window": "day"},
    {"limit": {"tokens": 10**6}, "window": "day"},
    {"limit": {"input_tokens": 10**6}, "window": "day"},
    {"limit": {"output_tokens": 10**6}, "window": "day"},
    {"limit": {"requests": 10}, "window": "day"},
    {"limit": {"concurrent": 10}},
]


def ticket(**changes: Any) -> Ticket:
    return asked(planned(weighed(max_output=200, **changes), rules(*LIMITS)))


@pytest.mark.parametrize(
    ("changes", "ending", "charged"),
    [
        pytest.param({}, Reported(Usage(input=700, output=50)), [2_250_000, 750, 700, 50, 1, 0], id="as reported"),
        pytest.param({}, Reported(Usage()), [0, 0, 0, 0, 1, 0], id="an explicit zero is a fact"),
        pytest.param({}, Reported(Usage(input=700, output=5_000)), [51_750_000, 5_700, 700, 5_000, 1, 0], id="overrun"),
        pytest.param({}, Reported(Usage(input=700, cache_read=600)), [1_000_000, 700, 700, 0, 1, 0], id="cached input"),
        pytest.param({}, Reported(Usage(input=10, tool_input=90)), [250_000, 100, 100, 0, 1, 0], id="fetched input"),
        pytest.param({"stream": True}, CutOff("left", None, seen_bytes=300, seen_events=20),
                     [3_250_000, 1_000, 900, 100, 1, 0], id="cut off: bytes seen"),
        pytest.param({"stream": True}, CutOff("left", None, seen_bytes=30, seen_events=20),
                     [2_450_000, 920, 900, 20, 1, 0], id="cut off: events seen"),
        pytest.param({"stream": True}, CutOff("left", Usage(input=1_500, output=1), seen_bytes=3, seen_events=1),
                     [3_760_000, 1_501, 1_500, 1, 1, 0], id="cut off: partial usage is a fact"),
        pytest.param({}, CutOff("timed out"), [4_250_000, 1_100, 900, 200, 1, 0], id="never came: may be whole"),
        pytest.param({"stream": True, "extra": {"background": True}}, CutOff("left", None, 30, 2),
                     [4_250_000, 1_100, 900, 200, 1, 0], id="in the background it goes on without a listener"),
        pytest.param({"stream": True}, CutOff("left"), [2_250_000, 900, 900, 0, 1, 0], id="stream without a word"),
    ],
)  # fmt: skip
def test_charges(changes: dict[str, Any], ending: Ending, charged: list[int]) -> None:
    verb = settle(ticket(**changes), ending)
    assert [charge.amount for charge in verb.charges] == charged
    assert verb.entry is not None and verb.entry.nano_usd == charged[0]
    assert verb.entry.charges == tuple((c.counter.field, c.amount) for c in verb.charges)


def test_what_was_never_sent_costs_nothing() -> None:
    verb = settle(ticket(), NeverSent("refused by the provider"))
    assert (verb.charges, verb.entry) == ((), None)


def test_the_journal_says_who_what_and_how_much() -> None:
    entry = settle(ticket(), Reported(Usage(input=700, output=5_000, cache_read=5, reasoning=9))).entry
    assert entry is not None
    assert (entry.team, entry.model, entry.provider, entry.dialect) == ("research", "gpt-4o", "openai", "openai-chat")
    assert (entry.input, entry.output, entry.cached, entry.reasoning) == (700, 5_000, 5, 9)
    assert entry.held_nano_usd == 2_500_000 + 200 * 10_000
    assert entry.overrun_nano_usd == entry.nano_usd - entry.held_nano_usd > 0
    assert (entry.estimate, entry.upper, entry.ending) == (900, 1000, "reported")


def test_only_a_report_teaches_what_to_expect() -> None:
    observed = {"limit": {"usd": 1}, "window": "day", "hold": "observed", "max_held_share": 0.5}
    streamed = asked(planned(weighed(stream=True), rules(observed, {**observed, "per": ["team"]})))
    reported = settle(streamed, Reported(Usage(input=700, output=50)))
    assert (reported.output, reported.histories) == (50, ("p0|gpt-4o", "p1|team%3Dresearch|gpt-4o"))
    for ending in (CutOff("left", Usage(output=9), 300, 20), NeverSent("no route")):
        verb = settle(streamed, ending)
        assert (verb.output, verb.histories) == (None, ())
    assert settle(ticket(), Reported(Usage(output=50))).histories == ()


@given(st.lists(st.integers(0, 40), max_size=20), st.sampled_from([0.1, 0.25, 0.8, 0.95, 1.0]))
def test_a_share_is_crossed_once_and_only_when_it_is_spent(outputs: list[int], share: float) -> None:
    policy = {"limit": {"output_tokens": 100}, "window": "day", "warn_at": [share]}
    call = asked(planned(weighed(max_output=20), rules(policy)))
    spent, crossed = 0, []
    for output in outputs:
        verb = settle(call, Reported(Usage(output=output)))
        spent += output
        crossed += list(crossings(call, verb, Settled("settled", NOON, (State(spent, 0),))))
    assert len(crossed) == (spent >= share * 100)


def test_a_settlement_that_changed_nothing_crosses_nothing() -> None:
    call = asked(planned(weighed(), rules({"limit": {"requests": 1}, "window": "day", "warn_at": [1]})))
    verb = settle(call, Reported(Usage()))
    assert len(list(crossings(call, verb, Settled("settled", NOON, (State(1, 0),))))) == 1
    assert not list(crossings(call, verb, Settled("already", NOON)))
