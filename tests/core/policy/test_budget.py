"""What each policy asks the ledger to hold, and what is said where there is no room."""

from __future__ import annotations

from typing import Any

import pytest
from calls import NOON, asked, planned, rules, weighed

from weighbridge.core.errors import Refused
from weighbridge.core.ledger import LARGEST, Counter, State
from weighbridge.core.model import Principal
from weighbridge.core.policy import credit, parse
from weighbridge.core.policy.budget import scoped

HOUR = 3_600_000
ANN = Principal(team="research", user="ann", key="laptop")


def counters(policy: dict[str, Any], who: Principal = ANN, **changes: Any) -> list[Counter]:
    return [hold.counter for hold in planned(weighed(who=who, **changes), rules(policy)).reserve.holds]


def test_a_rolling_counter_is_the_bucket_of_now() -> None:
    [counter] = counters({"limit": {"usd": 1}, "window": "rolling 1h"})
    assert (counter.window, counter.span) == ("rolling 1h", HOUR)
    assert counter.start <= NOON < counter.end == counter.start + HOUR // 60


@pytest.mark.parametrize(
    ("limit", "window", "reason", "sentence", "retry_after"),
    [
        ({"usd": 1}, "rolling 5h", "budget", "allows everyone $1.00 in any 5h: $0.00 left", 300),
        ({"tokens": 1_000_000}, "rolling 60s", "rate", "1,000,000 tokens in any 60s", 1),
        ({"tokens": 1_000_000}, "rolling 1h", "rate", "1,000,000 tokens in any 1h", 60),
        ({"requests": 500}, "rolling 61m", "budget", "500 requests in any 61m", 61),
        ({"tokens": 1_000_000}, "rolling 7d", "budget", "1,000,000 tokens in any 7d", 10_080),
    ],
)
def test_what_a_full_rolling_window_says(
    limit: dict[str, int], window: str, reason: str, sentence: str, retry_after: int
) -> None:
    with pytest.raises(Refused) as refused:
        asked(planned(weighed(), rules({"limit": limit, "window": window})), State(10**10, 0))
    error = refused.value
    span = scoped(parse.policy({"name": "p", "limit": limit, "window": window}), (), NOON).span
    assert (error.reason, error.retry_after) == (reason, retry_after)
    assert sentence in error.message
    assert error.obstacles[0].resets_at == NOON + span


SHARE = {"limit": {"usd": 1}, "window": "day", "max_held_share": 0.25}


@pytest.mark.parametrize(
    ("policy", "who", "scope"),
    [
        pytest.param({"per": ["team"]}, ANN, (("team", "research"), ("user", "ann")), id="a user in a team"),
        pytest.param({"per": ["team", "user"]}, ANN, (("team", "research"), ("user", "ann")), id="per user already"),
        pytest.param({"per": ["key"]}, ANN, (("key", "laptop"), ("user", "ann")), id="a user's key"),
        pytest.param({}, Principal(key="laptop"), (("key", "laptop"),), id="a key without a user"),
        pytest.param({"per": ["key"]}, Principal(key="laptop"), (("key", "laptop"),), id="per key already"),
        pytest.param({}, Principal(), (("key", ""),), id="nobody in particular"),
    ],
)
def test_whose_share_of_what_is_held(policy: dict[str, Any], who: Principal, scope: tuple[Any, ...]) -> None:
    spends, share = planned(weighed(who=who), rules({**SHARE, **policy})).claims
    assert (spends.spends, share.spends) == (True, False)
    assert (share.hold.counter.window, share.hold.counter.scope) == ("held", scope)
    assert (share.hold.limit, share.hold.fixed) == (10**9 // 4, spends.hold.fixed)


def test_a_share_of_a_shadow_limit_is_no_limit() -> None:
    assert [hold.limit for hold in planned(weighed(), rules({**SHARE, "mode": "shadow"})).reserve.holds] == [None, None]


@pytest.mark.parametrize(
    ("limit", "stream", "remembers"),
    [({"usd": 1}, True, True), ({"usd": 1}, False, False), ({"output_tokens": 9}, True, True)],
)
def test_whose_history_is_gone_by(limit: dict[str, int], stream: bool, remembers: bool) -> None:
    policy = {"limit": limit, "window": "day", "hold": "observed", "max_held_share": 0.5, "per": ["user"]}
    holds = planned(weighed(who=ANN, stream=stream), rules(policy)).reserve.holds
    assert {hold.history for hold in holds} == {"p0|user%3Dann|gpt-4o" if remembers else ""}
    assert planned(weighed(stream=True), rules({**policy, "hold": "worst_case"})).reserve.holds[0].history == ""


def test_a_history_of_long_names_goes_by_a_hash() -> None:
    policy = {"limit": {"usd": 1}, "window": "day", "hold": "observed", "per": ["user"]}
    users = [Principal(user="\U0001f69a" * 250 + end) for end in ("a", "b")]
    names = [planned(weighed(who=who, stream=True), rules(policy)).reserve.holds[0].history for who in users]
    assert len(set(names)) == 2 and all(len(name) == 64 for name in names)


def credited(policy: dict[str, Any], *credits: tuple[int, int]) -> dict[str, Any]:
    """Credits of a policy: (milliseconds before noon, amount)."""
    read = parse.policy({"name": "p", **policy})
    given = ((scoped(read, (), NOON - ago), amount) for ago, amount in credits)
    return {str(n): credit.document(counter, amount, "x", 0) for n, (counter, amount) in enumerate(given)}


@pytest.mark.parametrize(
    ("window", "credits", "limit"),
    [
        ("day", [(0, 5), (1, 7)], 112),
        ("day", [(48 * HOUR, 5)], 100),
        ("lifetime", [(400 * 24 * HOUR, 5)], 105),
        ("rolling 5h", [(0, 5), (4 * HOUR, 7), (6 * HOUR, 11)], 112),
        ("day", [(0, LARGEST)], LARGEST),
    ],
)
def test_credits_count_as_long_as_their_window(window: str, credits: list[tuple[int, int]], limit: int) -> None:
    policy = {"limit": {"tokens": 100}, "window": window}
    documents = credited(policy, *credits)
    read = parse.policy({"name": "p", **policy})
    assert credit.limit(read, scoped(read, (), NOON), credit.read(documents)) == limit
    assert len(credit.over(documents, NOON)) == sum(ago > 5 * HOUR for ago, _ in credits if window != "lifetime")


def test_a_credit_is_no_ones_elses() -> None:
    policy = {"limit": {"tokens": 100}, "window": "day"}
    credits = credit.read(credited(policy, (0, 5)))
    for change in ({"window": "week"}, {"limit": {"requests": 100}}, {"timezone": "Asia/Tokyo"}):
        read = parse.policy({"name": "p", **policy, **change})
        assert credit.limit(read, scoped(read, (), NOON), credits) == 100
    read = parse.policy({"name": "p", **policy})
    assert credit.limit(read, scoped(read, (("team", "a"),), NOON), credits) == 100
