"""The straight line, first half: a weighed call becomes a plan, a plan and a grant become a ticket.

Weighed ─plan→ Plan(reserve)        pure: window, model lists, which counters, how much
reserve ─ledger→ Granted | Short    the only wait
Plan, Granted ─admit→ Ticket        pure; Short raises Refused with every scope in the way
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from weighbridge.core.counting.lesson import Basis
from weighbridge.core.dialects.base import AS_SENT, Amendment
from weighbridge.core.errors import Refused
from weighbridge.core.ledger import Granted, Hold, Reserve, Short, State, affine
from weighbridge.core.model import Call, Estimate, Media, Model, Part, Price, Principal, Rates, ToolResult, Unseen
from weighbridge.core.policy import context
from weighbridge.core.policy.budget import Claim, Facts, Load, claims, shortage
from weighbridge.core.policy.model import ContextRule, Defaults, Policy, Rules
from weighbridge.core.pricing import Exposure, tier, worst_case

Decision = Literal["admit", "clamp", "trim", "reroute", "refuse"]
SEARCHES = 5
"""Searches of the web that are held for where a call may make any; what is beyond is an overrun."""
FREE = Rates(0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A call on the scale: what it is, whose it is, what it weighs."""

    call: Call
    model: Model
    estimate: Estimate
    principal: Principal
    provider: str
    facts: Facts
    policies: tuple[Policy, ...]
    """Those in force that match."""
    body: bytes = b""
    """What was weighed, and what is to be sent: the request's body after the detour."""
    detour: Amendment = AS_SENT
    """What a policy made of the request before it was weighed: turns dropped, another model."""
    basis: Basis | None = None
    """What its bill teaches the estimates about; None: nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask the ledger, and what to say when it answers."""

    weighed: Weighed
    reserve: Reserve
    claims: tuple[Claim, ...]
    """What is behind each of `reserve.holds`, in order."""
    price: Price | None
    load: Load
    asked: int | None
    """Output tokens of one choice the request named; None where it was silent."""
    shadow: tuple[str, ...]
    """Policies in shadow mode that would have refused before the ledger was asked."""
    now: int
    """The store's time that the windows are of (milliseconds)."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """An admitted call, from the gate to its settlement."""

    id: str
    weighed: Weighed
    price: Price | None
    load: Load
    claims: tuple[Claim, ...]
    states: tuple[State, ...]
    """Each counter with this call's hold in it; empty where the ledger could not be asked."""
    now: int
    """The store's time when it was admitted (milliseconds)."""
    units: int
    """Output tokens the call may generate, all choices together."""
    covered: int
    """Output tokens held for: `units`, or fewer where a policy holds what is to be expected."""
    max_output: int | None
    """The most output tokens of one choice to write into the request; None: leave it as it is."""
    decision: Decision
    shadow: tuple[str, ...]
    """Policies in shadow mode that would have refused."""
    local: bool = False
    """Held in this worker's own share, because the store did not answer."""

    @property
    def holds(self) -> tuple[Hold, ...]:
        """What is held, counter by counter."""
        return tuple(claim.hold for claim in self.claims)

    @property
    def held_nano(self) -> int:
        """Nano-dollars that the output covered can cost at most, budgets or not."""
        return affine(self.load.fixed_nano, self.load.per_output_pico, self.covered)

    @property
    def call(self) -> Call:
        """The call as parsed."""
        return self.weighed.call

    @property
    def amendment(self) -> Amendment:
        """What the weighed body must still be changed in before it is sent."""
        return Amendment(max_output=self.max_output, ask_usage=self.call.stream and not self.call.wants_usage)


def plan(weighed: Weighed, rules: Rules, id: str, now: int, lease_ms: int) -> Plan:
    """Decide everything that needs no ledger.  Raises Refused (window, model lists, unpriced)."""
    call, facts, policies, defaults = weighed.call, weighed.facts, weighed.policies, rules.defaults
    price = _price(weighed, defaults)
    shadow = _allowed(policies, facts, weighed)
    want, least = _output(weighed, defaults)
    load = _load(call, weighed.estimate, price)
    # Only a stream can be held for as it grows: any other answer comes whole, or not at all.
    model = call.model if call.stream else ""
    limited = [claims(p, facts, load, now, rules.credits, model) for p in policies if p.unit is not None]
    claimed = tuple(claim for of_policy in limited for claim in of_policy)
    reserve = Reserve(id, tuple(claim.hold for claim in claimed), want, least, lease_ms)
    return Plan(weighed, reserve, claimed, price, load, call.max_output, shadow, now)


def admit(planned: Plan, grant: Granted | Short) -> Ticket:
    """The ledger's answer as a ticket.  Raises Refused where a counter had no room."""
    reserve, call = planned.reserve, planned.weighed.call
    if isinstance(grant, Short):
        raise shortage(planned.claims, grant, reserve.want, call.choices, planned.weighed.estimate)
    per_choice = grant.units // call.choices
    lowered = grant.units < reserve.want or (planned.asked is not None and per_choice < planned.asked)
    return Ticket(
        id=reserve.id,
        weighed=planned.weighed,
        price=planned.price,
        load=planned.load,
        claims=planned.claims,
        states=grant.states,
        now=grant.now,
        units=grant.units,
        covered=grant.covered,
        max_output=per_choice if lowered else None,
        decision=_decision(planned.weighed.detour, lowered),
        shadow=planned.shadow + _overdrawn(planned, grant),
    )


def _decision(detour: Amendment, lowered: bool) -> Decision:
    """The largest change that was made."""
    if detour.model is not None:
        return "reroute"
    return "trim" if detour.drop_turns else "clamp" if lowered else "admit"


def unheld(planned: Plan) -> Ticket:
    """A ticket without a hold: nothing limits the call, or the store is down and policy says `admit`."""
    return admit(planned, Granted(planned.reserve.want, (), planned.now, planned.reserve.want))


def held_here(planned: Plan, grant: Granted) -> Ticket:
    """A ticket held in this worker's own share; what other workers hold and spent, nobody knows."""
    return replace(admit(planned, replace(grant, states=())), local=True)


def ceiling(model: Model, policies: tuple[Policy, ...], inputs: int = 1) -> int | None:
    """The most prompt tokens that can pass, so that counting may stop above it; None: no limit."""
    # A prompt too long for a rerouting policy goes on, to another model.
    rules = [rule.max_input_tokens for rule in _limiting(policies) if rule.on_exceed != "reroute"]
    return min([*rules, *_windows(model, inputs)], default=None)


def undecided(weighed: Weighed) -> bool:
    """Whether a limit lies inside the uncertainty of the estimate, so that an exact count decides."""
    limits = [rule.max_input_tokens for rule in _limiting(weighed.policies)]
    limits += _windows(weighed.model, weighed.call.inputs)
    return any(weighed.estimate.tokens <= limit < weighed.estimate.upper for limit in limits)


def _limiting(policies: tuple[Policy, ...]) -> list[ContextRule]:
    return [p.context for p in policies if p.context is not None and p.mode == "enforce"]


def _windows(model: Model, inputs: int) -> list[int]:
    """The model's windows, for each input of its own."""
    return [n * inputs for n in (model.max_input, model.window) if n is not None]


def _price(weighed: Weighed, defaults: Defaults) -> Price | None:
    price = tier(weighed.model, weighed.call.tier)
    if price is not None or defaults.unpriced_model == "allow":
        return price
    if defaults.unpriced_model == "reject":
        raise Refused(
            "unpriced_model",
            f"No price is known for model '{weighed.call.model}', so its cost cannot be bounded. "
            "Add it under `models:` in the configuration, or set `unpriced_model` in the policy defaults.",
            param="model",
        )
    return Price(((0, FREE),), per_request=defaults.unpriced_model)


def _allowed(policies: tuple[Policy, ...], facts: Facts, weighed: Weighed) -> tuple[str, ...]:
    """Model lists and prompt size; the names of shadow policies that would have refused."""
    context.fits_model(weighed.model, weighed.call, weighed.estimate)
    shadow = []
    for policy in policies:
        refused = context.refusal(policy, facts, weighed.estimate, rerouted=weighed.detour.model is not None)
        if refused is not None and policy.mode == "enforce":
            raise refused
        if refused is not None:
            shadow.append(policy.name)
    return tuple(shadow)


def _output(weighed: Weighed, defaults: Defaults) -> tuple[int, int]:
    """Output tokens, all choices together: (wanted, fewest worth sending the call for)."""
    call = weighed.call
    if not call.generates:
        return 0, 0
    room = context.output_room(weighed.model, call, weighed.estimate)
    asked = call.max_output if call.max_output is not None else room
    if asked is None:
        # Nothing bounds this answer but the provider: hold what most models can write at most.
        asked = context.UNKNOWN_MAX_OUTPUT
    if room is not None and asked > room and not defaults.clamp_output:
        raise context.too_long(weighed.model, call, weighed.estimate, asked)
    want = (asked if room is None else min(asked, room)) * call.choices
    least = min(want, call.least_output * call.choices) if defaults.clamp_output else want
    return want, least


def _load(call: Call, estimate: Estimate, price: Price | None) -> Load:
    if price is None:
        return Load(estimate.upper, 0, 0)
    fixed, per_output = worst_case(price, estimate.upper, _exposure(call), _searches(call))
    return Load(estimate.upper, fixed, per_output)


def _searches(call: Call) -> int:
    """How often the provider may search the web for this call: nobody says so before."""
    return SEARCHES if any("search" in tool.server.lower() for tool in call.tools) else 0


def _exposure(call: Call) -> Exposure:
    """Which of the dearer rates this call can meet: those it cannot would only swell its hold."""
    return Exposure(
        cache_write=call.caches != "",
        cache_write_1h=call.caches == "1h",
        audio_input=any(_may_sound(part) for message in call.messages for part in message.parts),
        audio_output=call.sounds,
    )


def _may_sound(part: Part) -> bool:
    match part:
        case Media(kind):
            return kind in ("audio", "video")
        case ToolResult(parts):
            return any(_may_sound(inner) for inner in parts)
        case _:
            return isinstance(part, Unseen)


def _overdrawn(planned: Plan, grant: Granted) -> tuple[str, ...]:
    """Shadow policies whose counter went over its limit with this hold."""
    over = [
        claim.policy.name
        for claim, state in zip(planned.claims, grant.states, strict=False)
        if claim.policy.mode == "shadow" and state.spent + state.held > claim.limit
    ]
    return tuple(dict.fromkeys(over))
