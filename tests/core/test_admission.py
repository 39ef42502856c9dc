"""The straight line, first half: tables of what is admitted, clamped and refused, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from calls import MODEL, NOON, asked, planned, rules, weighed
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.admission import ceiling, unheld
from weighbridge.core.errors import Refused
from weighbridge.core.ledger import State
from weighbridge.core.model import Media, Message, Principal

DAY = {"limit": {"usd": 1}, "window": "day"}


@pytest.mark.parametrize(
    ("changes", "want", "least", "max_output"),
    [
        pytest.param({}, 16_384, 1, None, id="silent request: the model's maximum is held, nothing is written"),
        pytest.param({"max_output": 100}, 100, 1, None, id="as asked"),
        pytest.param({"max_output": 100, "choices": 3}, 300, 3, None, id="every choice is held for"),
        pytest.param({"max_output": 10**9}, 16_384, 1, 16_384, id="more than the model writes is lowered to it"),
        pytest.param({"max_output": 100, "least_output": 16}, 100, 16, None, id="the provider's own minimum"),
        pytest.param({"generates": False}, 0, 0, None, id="embeddings generate nothing"),
        pytest.param({"max_output": 5, "least_output": 16}, 5, 5, None, id="a minimum above what was asked"),
    ],
)
def test_output_that_is_asked_of_the_ledger(
    changes: dict[str, Any], want: int, least: int, max_output: int | None
) -> None:
    a_plan = planned(weighed(**changes), rules(DAY))
    assert (a_plan.reserve.want, a_plan.reserve.least) == (want, least)
    assert asked(a_plan).max_output == max_output


def test_window_and_prompt_leave_less_output() -> None:
    a_plan = planned(weighed(upper=120_000, max_output=16_000), rules(DAY))
    assert a_plan.reserve.want == 8_000
    assert asked(a_plan).decision == "clamp"


def test_nothing_known_of_the_model_still_bounds_the_hold() -> None:
    unknown = replace(MODEL, max_input=None, max_output=None, window=None)
    assert planned(weighed(known=unknown), rules(DAY)).reserve.want == 16_384


@pytest.mark.parametrize(
    ("spent", "units", "decision"),
    [
        pytest.param(0, 16_384, "admit", id="room for all"),
        pytest.param(1_000_000_000 - 2_500_000 - 10_000 * 100, 100, "clamp", id="room for a hundred"),
        pytest.param(1_000_000_000 - 2_500_000 - 10_000, 1, "clamp", id="room for the last one"),
    ],
)
def test_budget_lowers_the_output(spent: int, units: int, decision: str) -> None:
    ticket = asked(planned(weighed(), rules(DAY)), State(spent, 0))
    assert (ticket.units, ticket.decision) == (units, decision)
    assert spent + ticket.holds[0].amount(units) <= 1_000_000_000


def test_refusal_names_every_scope_and_what_would_fit() -> None:
    both = rules(
        {"match": {"team": "research"}, **DAY},
        {"match": {"team": "*"}, "limit": {"tokens": 2_000}, "window": "minute", "per": ["team"]},
        clamp_output=False,
    )
    a_plan = planned(weighed(max_output=5_000), both)
    with pytest.raises(Refused) as refused:
        asked(a_plan, State(990_000_000, 0), State(500, 0))
    error = refused.value
    assert (error.reason, error.status) == ("budget", 429)
    assert [(o.policy, o.scope, o.unit, o.limit) for o in error.obstacles] == [
        ("p0", {"team": "research"}, "nano_usd", 1_000_000_000),
        ("p1", {"team": "research"}, "tokens", 2_000),
    ]
    assert error.obstacles[0].requested == 2_500_000 + 5_000 * 10_000
    assert error.would_fit == 500
    assert error.retry_after is not None and error.retry_after > 3600


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"limit": {"usd": 1}, "window": "minute"}, "budget"),
        ({"limit": {"tokens": 10}, "window": "minute"}, "rate"),
        ({"limit": {"tokens": 10}, "window": "month"}, "budget"),
        ({"limit": {"input_tokens": 10}, "window": "hour"}, "rate"),
        ({"limit": {"output_tokens": 10}, "window": "day"}, "budget"),
        ({"limit": {"requests": 10}, "window": "minute"}, "rate"),
        ({"limit": {"concurrent": 10}}, "rate"),
    ],
    ids=str,
)
def test_pace_and_amounts_are_told_apart(limit: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(planned(weighed(), rules(limit)), State(10**9, 0))
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("policy", "changes", "reason"),
    [
        pytest.param({"models": {"allow": ["*-mini"]}}, {}, "model_not_allowed", id="not on the list"),
        pytest.param({"models": {"allow": ["gpt-*"]}}, {}, None, id="on the list"),
        pytest.param({"models": {"deny": ["gpt-4*"]}}, {}, "model_not_allowed", id="denied"),
        pytest.param({"match": {"team": "others"}, "models": {"allow": ["x"]}}, {}, None, id="another team's list"),
        pytest.param({"models": {"allow": ["x"]}, "mode": "shadow"}, {}, None, id="shadow never refuses"),
        pytest.param({"context": {"max_input_tokens": 999}}, {}, "context_length", id="prompt over the policy's limit"),
        pytest.param({"context": {"max_input_tokens": 1000}}, {}, None, id="prompt just within"),
        pytest.param({"match": {"model": "gpt-4o"}, "models": {"deny": ["*"]}}, {"model": "openai/gpt-4o"},
                     "model_not_allowed", id="a prefix does not lead around a policy"),
    ],
)  # fmt: skip
def test_lists_and_prompt_limits(policy: dict[str, Any], changes: dict[str, Any], reason: str | None) -> None:
    if reason is None:
        assert planned(weighed(**changes), rules(policy)).reserve.holds == ()
        return
    with pytest.raises(Refused) as refused:
        planned(weighed(**changes), rules(policy))
    assert refused.value.reason == reason


def test_prompt_larger_than_the_window() -> None:
    with pytest.raises(Refused) as refused:
        planned(weighed(upper=128_001), rules())
    assert (refused.value.reason, refused.value.limit) == ("context_length", 128_000)
    assert refused.value.counted is not None and refused.value.counted > 128_000


@pytest.mark.parametrize(
    ("default", "held"), [("allow", 0), ({"usd_per_request": 0.05}, 50_000_000), ("reject", None)], ids=str
)
def test_models_without_a_price(default: Any, held: int | None) -> None:
    nameless = replace(MODEL, prices={})
    if held is None:
        with pytest.raises(Refused, match="No price is known"):
            planned(weighed(known=nameless), rules(unpriced_model=default))
        return
    assert asked(planned(weighed(known=nameless), rules(DAY, unpriced_model=default))).held_nano == held


def test_shadow_holds_are_counted_and_reported() -> None:
    a_plan = planned(weighed(), rules({**DAY, "mode": "shadow"}))
    ticket = asked(a_plan, State(999_999_999, 0))
    assert (ticket.decision, ticket.shadow, ticket.units) == ("admit", ("p0",), 16_384)


def test_a_call_without_the_matched_field_is_not_counted() -> None:
    assert planned(weighed(who=Principal()), rules({"match": {"team": "*"}, **DAY})).reserve.holds == ()


def test_counters_are_told_apart_by_scope_and_window() -> None:
    in_force = rules({**DAY, "per": ["team", "user"]})
    one = planned(weighed(who=Principal(team="a", user="b|c")), in_force).reserve.holds[0].counter
    two = planned(weighed(who=Principal(team="a|b", user="c")), in_force).reserve.holds[0].counter
    assert one.field != two.field and one.start <= NOON < one.end


def test_sound_is_held_at_its_own_rate_and_text_is_not() -> None:
    rates = replace(MODEL.prices[""].steps[0][1], audio_input=40_000_000_000)
    sounding = replace(MODEL, prices={"": replace(MODEL.prices[""], steps=((0, rates),))})
    spoken = (Message("user", (Media("audio", data="AAAA"),)),)
    text = planned(weighed(known=sounding), rules(DAY))
    sound = planned(weighed(known=sounding, messages=spoken), rules(DAY))
    assert (text.load.fixed_nano, sound.load.fixed_nano) == (2_500_000, 40_000_000)


def test_counting_may_stop_at_the_smallest_limit() -> None:
    in_force = rules({"context": {"max_input_tokens": 500}}, {"context": {"max_input_tokens": 100}, "mode": "shadow"})
    assert ceiling(MODEL, in_force.policies) == 500
    assert ceiling(MODEL, ()) == 128_000


def test_a_store_that_is_down_can_be_passed_by() -> None:
    ticket = unheld(planned(weighed(), rules(DAY)))
    assert (ticket.decision, ticket.states, len(ticket.holds)) == ("admit", (), 1)


@given(
    spent=st.integers(0, 2 * 10**9), held=st.integers(0, 2 * 10**9), upper=st.integers(1, 10**5),
    asked_for=st.one_of(st.none(), st.integers(1, 10**5)), choices=st.integers(1, 8), clamp=st.booleans(),
)  # fmt: skip
def test_no_admission_goes_over_a_limit(
    spent: int, held: int, upper: int, asked_for: int | None, choices: int, clamp: bool
) -> None:
    in_force = rules(DAY, clamp_output=clamp)
    try:
        a_plan = planned(weighed(upper=upper, max_output=asked_for, choices=choices), in_force)
        ticket = asked(a_plan, State(spent, held))
    except Refused:
        return
    assert spent + held + ticket.holds[0].amount(ticket.units) <= 10**9
    assert ticket.units >= choices
    if ticket.max_output is not None:
        assert 1 <= ticket.max_output <= ticket.units // choices
