"""Calls, models and tickets made by hand, for tests of the pure core."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from weighbridge.core.admission import Plan, Ticket, Weighed, admit, plan
from weighbridge.core.grant import decide
from weighbridge.core.ledger import State
from weighbridge.core.model import Call, Estimate, Message, Model, Price, Principal, Rates, Text
from weighbridge.core.policy import parse
from weighbridge.core.policy.budget import facts_of, matching
from weighbridge.core.policy.model import Rules

NOON = 1_790_000_000_000
"""A moment in September 2026, in milliseconds."""
RATES = Rates(2_500_000_000, 10_000_000_000, 1_250_000_000, 2_500_000_000, 2_500_000_000, 10_000_000_000, 0, 0)
PRICE = Price(((0, RATES),))
MODEL = Model(
    "gpt-4o", "gpt-4o", "openai", "o200k_base", max_input=128_000, max_output=16_384, window=128_000, prices={"": PRICE}
)


def call(**changes: Any) -> Call:
    """A plain chat call."""
    given: dict[str, Any] = {"messages": (Message("user", (Text("hello"),)),), "caches": "", **changes}
    return Call("openai-chat", given.pop("model", "gpt-4o"), **given)


RESEARCH = Principal(team="research")


def weighed(upper: int = 1000, *, who: Principal = RESEARCH, known: Model = MODEL, **changes: Any) -> Weighed:
    """A call on the scale, with `upper` prompt tokens at most."""
    made = call(**changes)
    facts = facts_of(made, known, who, "openai")
    return Weighed(made, known, Estimate(min(upper, 900), upper, "by hand"), who, "openai", facts, ())


def rules(*policies: dict[str, Any], **defaults: Any) -> Rules:
    """Rules from documents; every policy gets a name."""
    named = [{"name": f"p{i}", **document} for i, document in enumerate(policies)]
    return Rules(*parse.policies({"policies": named, "defaults": defaults}))


def planned(on_scale: Weighed, in_force: Rules) -> Plan:
    """A plan at noon."""
    matched = replace(on_scale, policies=matching(in_force.policies, on_scale.facts))
    return plan(matched, in_force, "id-1", NOON, 120_000)


def asked(a_plan: Plan, *states: State) -> Ticket:
    """The ticket a ledger with these counters would give; raises Refused."""
    return admit(a_plan, decide(a_plan.reserve, states or tuple(State(0, 0) for _ in a_plan.reserve.holds), NOON))
