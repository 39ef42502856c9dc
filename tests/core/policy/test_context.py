"""What has to fit a model's window, and what adds up on the bill alone."""

from __future__ import annotations

import pytest
from calls import MODEL, rules
from calls import planned as plan_at_noon
from calls import weighed as on_scale

from weighbridge.core.admission import ceiling
from weighbridge.core.errors import Refused
from weighbridge.core.model import Tool

WINDOW = 128_000
SEARCH = Tool("search", server="web_search_20250305")
OWN = Tool("search")


def test_an_upper_bound_over_the_window_is_refused() -> None:
    plan_at_noon(on_scale(WINDOW), rules())
    with pytest.raises(Refused) as caught:
        plan_at_noon(on_scale(WINDOW + 1), rules())
    assert (caught.value.reason, caught.value.limit) == ("context_length", WINDOW)


def test_each_of_several_inputs_has_the_window_for_itself() -> None:
    plan_at_noon(on_scale(WINDOW * 4, inputs=4), rules())
    with pytest.raises(Refused):
        plan_at_noon(on_scale(WINDOW * 4 + 1, inputs=4), rules())
    assert ceiling(MODEL, (), 4) == WINDOW * 4


def test_several_prompts_leave_room_for_their_answers() -> None:
    assert plan_at_noon(on_scale(WINDOW * 3, inputs=4, choices=4), rules()).reserve.want == MODEL.max_output * 4  # type: ignore[operator]


def test_a_tool_at_the_provider_has_the_prompt_read_again_and_again() -> None:
    """Its upper bound is that of the bill, which sums all readings; the window sees one at a time."""
    planned = plan_at_noon(on_scale(WINDOW * 2, tools=(SEARCH,), max_output=4000), rules())
    assert planned.reserve.want == 4000, "nothing is clamped for want of room"
    with pytest.raises(Refused):
        plan_at_noon(on_scale(WINDOW * 2, tools=(OWN,), max_output=4000), rules())
