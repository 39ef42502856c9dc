"""Prices: exact, rounded up once, never negative, and never above the worst case that was held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.model import Model, Price, Rates, Usage
from weighbridge.core.pricing import Exposure, cost, tier, worst_case

USD = 1_000_000_000
RATES = Rates(
    input=3 * USD,
    output=15 * USD,
    cache_read=3 * USD // 10,
    cache_write=15 * USD // 4,
    cache_write_1h=6 * USD,
    reasoning=15 * USD,
    audio_input=40 * USD,
    audio_output=80 * USD,
)
FLAT = Price(((0, RATES),))


def doubled(rates: Rates) -> Rates:
    return Rates(*(2 * getattr(rates, name) for name in Rates.__slots__))


STEPPED = Price(((0, RATES), (200_000, doubled(RATES))))

COSTS = [
    pytest.param(Usage(), 0, id="nothing"),
    pytest.param(Usage(input=1_000_000), 3 * USD, id="input"),
    pytest.param(Usage(output=1_000_000), 15 * USD, id="output"),
    pytest.param(Usage(input=1000, cache_read=1000), 300_000, id="all of it cached"),
    pytest.param(Usage(input=1000, cache_read=400), 600 * 3000 + 400 * 300, id="part of it cached"),
    pytest.param(Usage(input=1000, cache_write=1000), 3_750_000, id="written to the cache"),
    pytest.param(Usage(input=1000, cache_write_1h=1000), 6_000_000, id="written for an hour"),
    pytest.param(Usage(input=1000, audio_input=100), 900 * 3000 + 100 * 40_000, id="sound"),
    pytest.param(Usage(output=1000, audio_output=100), 900 * 15_000 + 100 * 80_000, id="spoken answer"),
    pytest.param(Usage(output=1000, reasoning=800), 15_000_000, id="reasoning is inside the output"),
    pytest.param(Usage(input=10, tool_input=90), 300_000, id="fetched by the provider"),
    pytest.param(Usage(input=10, cache_read=50), 10 * 300, id="more cached than there is"),
    pytest.param(Usage(input=-5, output=-5, cache_read=-1), 0, id="negative"),
]


@pytest.mark.parametrize(("usage", "expected"), COSTS)
def test_cost(usage: Usage, expected: int) -> None:
    assert cost(FLAT, usage) == expected


def test_one_rounding_at_the_end() -> None:
    one_third = Price(((0, Rates(333_333, 333_333, 333_333, 0, 0, 0, 0, 0)),))
    assert cost(one_third, Usage(input=1, output=1)) == 1


@pytest.mark.parametrize(("tokens", "rate"), [(200_000, 3000), (200_001, 6000)])
def test_the_step_passed_holds_for_every_token(tokens: int, rate: int) -> None:
    assert cost(STEPPED, Usage(input=tokens)) == tokens * rate


def test_fetched_tokens_count_towards_the_step() -> None:
    assert cost(STEPPED, Usage(input=150_000, tool_input=50_001)) == 200_001 * 6000


def test_a_request_fee_is_added_once() -> None:
    assert cost(Price(((0, RATES),), per_request=7), Usage(input=1)) == 3007


RATE = st.integers(0, 10**12)
RATE_CARDS = st.builds(Rates, *[RATE] * 8)
TOKENS = st.integers(0, 3_000_000)


@st.composite
def price_lists(draw: st.DrawFn) -> Price:
    above = sorted(draw(st.sets(st.integers(1, 2_000_000), max_size=3)))
    return Price(tuple((step, draw(RATE_CARDS)) for step in (0, *above)), draw(st.integers(0, 10**9)))


USAGES = st.builds(Usage, *[TOKENS] * 9)


@given(price_lists(), USAGES, st.integers(0, 10**6))
def test_never_above_the_worst_case(price: Price, usage: Usage, spare: int) -> None:
    fixed, per_output = worst_case(price, usage.input + usage.tool_input + spare)
    assert 0 <= cost(price, usage) <= fixed - (-usage.output * per_output // 1000)


@given(price_lists(), TOKENS, TOKENS)
def test_a_narrower_exposure_still_covers_what_it_leaves(price: Price, prompt: int, output: int) -> None:
    fixed, per_output = worst_case(price, prompt, Exposure(False, False, False, False))
    for usage in (Usage(prompt, output), Usage(prompt, output, cache_read=prompt // 2, reasoning=output // 2)):
        assert cost(price, usage) <= fixed - (-output * per_output // 1000)


@given(price_lists(), st.builds(Usage, *[st.integers(-(10**6), 10**6)] * 9))
def test_no_usage_earns_money(price: Price, usage: Usage) -> None:
    assert cost(price, usage) >= 0


def test_tiers_fall_back_to_the_standard_one() -> None:
    flex = Price(((0, doubled(RATES)),))
    model = Model("m", prices={"": FLAT, "flex": flex})
    assert [tier(model, name) for name in ("", "flex", "default", "scale")] == [FLAT, flex, FLAT, FLAT]
    assert tier(Model("m"), "") is None
