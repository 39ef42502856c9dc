"""What policies promise of budgets, from the gate to the ledger: nested, rolling, shared, credited, warned of."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from gates import Gate
from weighbridge.core import reply
from weighbridge.core.errors import Refused, StoreCorrupt
from weighbridge.core.ledger import Entries
from weighbridge.core.model import NeverSent, Principal, Reported, Usage
from weighbridge.core.policy import credit, parse
from weighbridge.core.policy.budget import scoped
from weighbridge.core.shelves import Put
from weighbridge.hooks import Warned, logging_hook

TEN_CENTS = Reported(Usage(input=100_000))
TEAM = {"name": "team", "match": {"team": "research"}, "limit": {"usd": 1}, "window": "month"}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def gate(request: pytest.FixtureRequest) -> Iterator[Gate]:
    yield Gate(request.param)


def run(number: int) -> Principal:
    return Principal(team="research", tags={"run": str(number)})


def test_a_runs_budget_is_carved_from_its_teams(gate: Gate) -> None:
    each_run = {"name": "run", "match": {"team": "research", "tag.run": "*"}, "limit": {"usd": 0.4}, "window": "month"}
    gate.policies(TEAM, each_run)
    for number in (1, 2):
        for _ in range(4):
            gate.close(gate.open(run(number)), TEN_CENTS)
    with pytest.raises(Refused) as spent_run:
        gate.open(run(1))
    assert [(o.policy, o.scope) for o in spent_run.value.obstacles] == [("run", {"team": "research", "tag.run": "1"})]
    for _ in range(2):
        gate.close(gate.open(run(3)), TEN_CENTS)
    with pytest.raises(Refused) as spent_team:
        gate.open(run(3))
    assert [o.policy for o in spent_team.value.obstacles] == ["team"], "the run has money, its team has none"
    with pytest.raises(Refused):
        gate.open()


def test_a_rolling_window_makes_room_as_time_goes_by(gate: Gate) -> None:
    gate.policies({"name": "roll", "limit": {"usd": 0.2}, "window": "rolling 1h"})
    minute = 60_000
    gate.close(gate.open(), TEN_CENTS)
    gate.clock.now += 30 * minute
    ticket = gate.open()
    assert reply.admitted(ticket)["x-weighbridge-remaining"] == f"roll;usd={reply.usd(10**8 - ticket.held_nano)}"
    gate.close(ticket, TEN_CENTS)
    with pytest.raises(Refused, match=r"allows everyone \$0\.20 in any 1h: \$0\.00 left") as refused:
        gate.open()
    assert refused.value.retry_after == 60
    assert refused.value.obstacles[0].resets_at == gate.clock.now + 60 * minute
    gate.clock.now += 32 * minute
    gate.close(gate.open(), TEN_CENTS)
    with pytest.raises(Refused):
        gate.open()


def test_no_user_holds_more_than_a_share(gate: Gate) -> None:
    limit = {"name": "share", "limit": {"tokens": 1600}, "window": "day", "per": ["team"], "max_held_share": 0.25}
    gate.policies(limit)
    ann, bob = (Principal(team="research", user=user) for user in ("ann", "bob"))
    first = gate.open(ann, max_tokens=80)
    assert reply.admitted(first)["x-weighbridge-remaining"].count("share;") == 1
    with pytest.raises(Refused, match=r"team research, user ann 400 tokens held at a time") as refused:
        gate.open(ann, max_tokens=80)
    assert (refused.value.reason, refused.value.retry_after) == ("rate", 1)
    with pytest.raises(Refused) as never:
        gate.open(Principal(team="research", user="eve"), messages=[{"role": "user", "content": "word " * 300}])
    assert (never.value.reason, never.value.retry_after) == ("budget", None), "it alone is too large for a share"
    assert gate.open(bob, max_tokens=80).decision == "admit"
    assert gate.open(Principal(team="research", key="k"), max_tokens=80).decision == "admit"
    gate.close(first, Reported(Usage(input=10, output=80)))
    assert gate.open(ann, max_tokens=80).decision == "admit", "what is spent is not held"
    (entry,) = gate.store.run(Entries())
    assert len(entry.charges) == 1, "nothing is charged to a share"


def test_a_credit_is_in_force_within_a_second_and_ends_with_its_window(gate: Gate) -> None:
    gate.policies({**TEAM, "limit": {"usd": 0.1}, "window": "day"})
    gate.close(gate.open(), TEN_CENTS)
    with pytest.raises(Refused):
        gate.open()
    policy = parse.policy({**TEAM, "window": "day"})
    counter = scoped(policy, (("team", "research"),), gate.clock.now)
    gate.store.run(Put("credits", {"team/1": credit.document(counter, 10**8, "a demo", gate.clock.now)}))
    gate.clock.now += 1000
    assert gate.open().claims[0].limit == 2 * 10**8
    assert gate.counters()[0][1] == 10**8, "spend is not touched"
    gate.clock.now += 86_400_000
    assert gate.open().claims[0].limit == 10**8


def test_a_credit_nobody_can_read_is_no_credit(gate: Gate) -> None:
    gate.policies(TEAM)
    gate.open()
    gate.store.run(Put("credits", {"team/1": {"counter": "?", "amount": -5}}))
    gate.clock.now += 1000
    assert gate.open().claims[0].limit == 10**9
    with pytest.raises(StoreCorrupt, match="team/1"):
        credit.read({"team/1": {"counter": "?", "amount": -5}})


def test_each_share_is_warned_of_once_a_window(gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    gate.policies({**TEAM, "warn_at": [0.25, 0.3, 0.8]})
    for _ in range(10):
        gate.close(gate.open(), TEN_CENTS)
    told = [event for event in gate.events if isinstance(event, Warned)]
    assert [(event.share, event.spent) for event in told] == [(0.25, 3 * 10**8), (0.3, 3 * 10**8), (0.8, 8 * 10**8)]
    assert told[0] == Warned("team", {"team": "research"}, "nano_usd", 10**9, 3 * 10**8, 0.25)
    with caplog.at_level(logging.WARNING, "weighbridge"):
        logging_hook(told[-1])
    assert caplog.messages == ["policy team: team research spent $0.80, over 80 % of $1.00"]
    gate.clock.now += 40 * 86_400_000
    gate.close(gate.open(), Reported(Usage(input=900_000)))
    assert len([event for event in gate.events if isinstance(event, Warned)]) == 6


def test_a_settlement_told_twice_warns_once(gate: Gate) -> None:
    gate.policies({**TEAM, "warn_at": [0.1]})
    ticket = gate.open()
    gate.close(ticket, TEN_CENTS)
    gate.close(ticket, TEN_CENTS)
    gate.close(gate.open(), NeverSent("x"))
    assert len([event for event in gate.events if isinstance(event, Warned)]) == 1


def test_a_shadow_policy_lets_pass_reports_and_is_on_record(gate: Gate) -> None:
    shadows = (
        {**TEAM, "name": "money", "limit": {"usd": 0}, "mode": "shadow", "max_held_share": 0.5},
        {"name": "models", "models": {"deny": ["*"]}, "mode": "shadow"},
        {"name": "roomy", "limit": {"usd": 5}, "window": "day", "mode": "shadow"},
    )
    gate.policies(*shadows)
    ticket = gate.open()
    assert (ticket.decision, set(ticket.shadow)) == ("admit", {"money", "models"})
    headers = reply.admitted(ticket)
    assert headers["x-weighbridge-decision"] == "admit"
    assert headers["x-weighbridge-shadow"] == "models, money"
    gate.close(ticket, TEN_CENTS)
    (entry,) = gate.store.run(Entries())
    assert (entry.decision, entry.shadow) == ("admit", "models,money")


def test_an_unpriced_model_by_policy(gate: Gate) -> None:
    request = {"model": "nobody-knows"}
    gate.policies(TEAM)
    with pytest.raises(Refused, match="No price is known"):
        gate.open(**request)
    gate.policies(TEAM, unpriced_model="allow")
    gate.close(gate.open(**request), TEN_CENTS)
    assert gate.counters()[0][1:] == (0, 0)
    gate.policies(TEAM, unpriced_model={"usd_per_request": 0.05})
    ticket = gate.open(**request)
    assert gate.counters()[0][1:] == (0, 50_000_000)
    gate.close(ticket, TEN_CENTS)
    assert gate.counters()[0][1:] == (50_000_000, 0)
