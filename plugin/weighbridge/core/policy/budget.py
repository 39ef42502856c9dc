"""Which policies a call falls under, and what each asks to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from weighbridge.core.errors import Obstacle, Reason, Refused
from weighbridge.core.ledger import Counter, Hold, Short, State, Unit
from weighbridge.core.model import Call, Estimate, Model, Principal
from weighbridge.core.policy.model import Policy, Window
from weighbridge.core.policy.window import bounds, retry_after

RATE_WINDOWS = ("minute", "hour")
CONCURRENCY_RETRY_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What policies match on and count per."""

    values: Mapping[str, str]
    """org, team, user, key, model (as requested), provider, tag.NAME; absent where unknown."""
    entry: str
    """The catalogue's name of the model: a policy that names it holds whatever prefix was asked with."""

    def get(self, field: str) -> str:
        """A field's value; "" where the call has none."""
        return self.values.get(field, "")

    def fit(self, field: str, glob: str) -> bool:
        """Whether a field's value matches a shell glob.  A missing value matches nothing, not even `*`."""
        if field == "model" and fnmatchcase(self.entry, glob):
            return True
        return field in self.values and fnmatchcase(self.values[field], glob)


def facts_of(call: Call, model: Model, principal: Principal, provider: str) -> Facts:
    """The facts of a call."""
    known = {
        "org": principal.org,
        "team": principal.team,
        "user": principal.user,
        "key": principal.key,
        "model": call.model,
        "provider": provider or None,
        **{f"tag.{name}": value for name, value in principal.tags.items()},
    }
    return Facts({name: value for name, value in known.items() if value is not None}, model.entry or call.model)


def matching(policies: tuple[Policy, ...], facts: Facts) -> tuple[Policy, ...]:
    """The policies whose every `match` field fits."""
    return tuple(p for p in policies if all(facts.fit(field, glob) for field, glob in p.match.items()))


@dataclass(frozen=True, slots=True)
class Load:
    """What a call would put on a counter, before any output is known."""

    upper: int
    """Upper bound of prompt tokens."""
    fixed_nano: int
    """Nano-dollars of the prompt at its dearest."""
    per_output_pico: int
    """Thousandths of a nano-dollar for each output token."""


AMOUNTS: Mapping[Unit, Callable[[Load], tuple[int, int]]] = {
    "nano_usd": lambda load: (load.fixed_nano, load.per_output_pico),
    "tokens": lambda load: (load.upper, 1000),
    "input_tokens": lambda load: (load.upper, 0),
    "output_tokens": lambda load: (0, 1000),
    "requests": lambda load: (1, 0),
    "calls": lambda load: (1, 0),
}
"""Unit -> (held whatever is generated, thousandths of the unit per output token)."""


def counter(policy: Policy, facts: Facts, now: int) -> Counter:
    """The counter a policy keeps for these facts at this moment."""
    assert policy.unit is not None
    scope = tuple((field, facts.get(field)) for field in policy.per)
    return _counter(policy.name, policy.unit, policy.window.text, scope, *bounds(policy.window, now))


@lru_cache(maxsize=16_384)
def _counter(policy: str, unit: Unit, window: str, scope: tuple[tuple[str, str], ...], start: int, end: int) -> Counter:
    """The same counter serves every call of its scope until its window ends."""
    return Counter(policy, unit, window, scope, start, end)


def hold(policy: Policy, facts: Facts, load: Load, now: int) -> Hold:
    """What a policy with a limit asks the ledger to hold."""
    assert policy.unit is not None
    fixed, per_output = AMOUNTS[policy.unit](load)
    limit = policy.limit if policy.mode == "enforce" else None
    return Hold(counter(policy, facts, now), limit, fixed, per_output)


def kind(unit: str, window: Window) -> Reason:
    """Whether running into this limit is a matter of pace ("rate") or of an amount used up ("budget")."""
    if unit == "calls":
        return "rate"
    if unit == "nano_usd":
        return "budget"
    return "rate" if window.text in RATE_WINDOWS or window.text.endswith(("s", "m")) else "budget"


def shortage(
    policies: tuple[Policy, ...], holds: tuple[Hold, ...], short: Short, want: int, choices: int, estimate: Estimate
) -> Refused:
    """The refusal for a hold the ledger had no room for: every scope in the way, and what would fit."""
    lacking = [(policies[i], holds[i], short.states[i]) for i in short.lacking]
    obstacles = tuple(_obstacle(h, state, want) for _, h, state in lacking)
    kinds = {kind(h.counter.unit, p.window) for p, h, _ in lacking}
    fit = short.fits // choices
    return Refused(
        "budget" if "budget" in kinds else "rate",
        _sentence(obstacles[0], lacking[0][0].window, len(obstacles) - 1, fit),
        obstacles=obstacles,
        would_fit=fit if fit > 0 else None,
        retry_after=max((w for w in (_wait(h, short.now) for _, h, _ in lacking) if w is not None), default=None),
        counted=estimate.tokens,
    )


def _obstacle(held: Hold, state: State, want: int) -> Obstacle:
    c = held.counter
    assert held.limit is not None
    requested, resets_at = held.amount(want), c.end or None
    return Obstacle(c.policy, dict(c.scope), c.unit, held.limit, state.spent, state.held, requested, resets_at)


def _wait(held: Hold, now: int) -> int | None:
    if held.counter.unit == "calls":
        return CONCURRENCY_RETRY_SECONDS
    return retry_after(held.counter.end, now) if held.counter.end else None


def amount_text(amount: int, unit: str) -> str:
    """An amount as people read it: "$0.25", "1,200 tokens", "1 request"."""
    if unit != "nano_usd":
        words = unit.replace("_", " ")
        return f"{amount:,} {words[:-1] if amount == 1 else words}"
    whole, nano = divmod(amount, 1_000_000_000)
    digits = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"${whole:,}.{digits}"


EACH: Mapping[str, str] = {
    "minute": " a minute",
    "hour": " an hour",
    "day": " a day",
    "week": " a week",
    "month": " a month",
    "": " at a time",
}
"""How a limit's window is said; one that never ends goes without saying."""


def _sentence(first: Obstacle, window: Window, others: int, fit: int) -> str:
    who = ", ".join(f"{k} {v}" for k, v in first.scope.items()) or "everyone"
    allowed = amount_text(first.limit, first.unit) + EACH.get(window.text, "")
    left = amount_text(max(0, first.limit - first.spent - first.held), first.unit)
    needed = amount_text(first.requested, first.unit)
    more = f" (and {others} more)" if others else ""
    hint = f" A max_tokens of {fit} would fit." if fit > 0 else ""
    return f"Policy '{first.policy}' allows {who} {allowed}: {left} left, {needed} needed for this request{more}.{hint}"
