"""Which policies a call falls under, and what each asks to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from weighbridge.core.errors import Obstacle, Reason, Refused
from weighbridge.core.ledger import Counter, Hold, Short, State, Unit
from weighbridge.core.model import Call, Estimate, Model, Principal
from weighbridge.core.policy import credit
from weighbridge.core.policy.model import Credits, Policy
from weighbridge.core.policy.window import bounds, retry_after, rolling

RATE_WINDOWS = ("minute", "hour")
RATE_MS = 3_600_000
"""Rolling windows up to this long are a matter of pace too."""
AT_ONCE = "held"
"""The window of a counter that only ever holds: how much of a limit one user has under way."""
LONGEST_HISTORY = 200
"""Characters of a history's name; a longer one goes by its hash."""
RETRY_SECONDS = 1
"""When to come back where what is in the way are calls under way."""


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


@dataclass(frozen=True, slots=True)
class Claim:
    """A hold, and whose limit it is for."""

    policy: Policy
    hold: Hold
    limit: int
    """What its counter may come to, credits included: `hold.limit`, and in shadow mode too."""

    @property
    def spends(self) -> bool:
        """False for a share of what is held: nothing is ever charged to it."""
        return self.hold.counter.window != AT_ONCE


def counter(policy: Policy, facts: Facts, now: int) -> Counter:
    """The counter a policy keeps for these facts at this moment."""
    return scoped(policy, tuple((field, facts.get(field)) for field in policy.per), now)


def scoped(policy: Policy, scope: tuple[tuple[str, str], ...], now: int) -> Counter:
    """The counter a policy keeps for a scope at this moment."""
    assert policy.unit is not None
    span = rolling(policy.window.text) or 0
    return _counter(policy.name, policy.unit, policy.window.text, scope, *bounds(policy.window, now), span)


@lru_cache(maxsize=16_384)
def _counter(
    policy: str, unit: Unit, window: str, scope: tuple[tuple[str, str], ...], start: int, end: int, span: int
) -> Counter:
    """The same counter serves every call of its scope until its window, or its bucket, ends."""
    return Counter(policy, unit, window, scope, start, end, span)


def claims(policy: Policy, facts: Facts, load: Load, now: int, credits: Credits, model: str) -> tuple[Claim, ...]:
    """What a policy with a limit asks the ledger to hold.  `model`: whose answers tell how much output
    to expect; "" where the call's hold cannot be extended, so that all it may write must be held."""
    assert policy.unit is not None
    fixed, per_output = AMOUNTS[policy.unit](load)
    kept = counter(policy, facts, now)
    history = _history(kept, model) if policy.hold == "observed" and model and per_output else ""
    limit = credit.limit(policy, kept, credits)

    def claim(counter: Counter, limit: int) -> Claim:
        enforced = limit if policy.mode == "enforce" else None
        return Claim(policy, Hold(counter, enforced, fixed, per_output, history), limit)

    if policy.max_held_share is None:
        return (claim(kept, limit),)
    return claim(kept, limit), claim(_share(policy, kept.scope, facts), int(limit * policy.max_held_share))


@lru_cache(maxsize=16_384)
def _history(counter: Counter, model: str) -> str:
    """Where a store remembers what a model returned to a scope."""
    scope = (f"{name}={value}" for name, value in counter.scope)
    name = "|".join(quote(text, safe="") for text in (counter.policy, *scope, model))
    # Clients name models and tags, and not always in few words.
    return name if len(name) <= LONGEST_HISTORY else sha256(name.encode()).hexdigest()


def _share(policy: Policy, scope: tuple[tuple[str, str], ...], facts: Facts) -> Counter:
    """The counter of what one user has held of a limit; a key where there is no user."""
    assert policy.unit is not None
    who = "user" if facts.get("user") else "key"
    more = () if who in policy.per else ((who, facts.get(who)),)
    return _counter(policy.name, policy.unit, AT_ONCE, scope + more, 0, 0, 0)


def kind(counter: Counter, state: State) -> Reason:
    """Whether running into this limit is a matter of pace ("rate") or of an amount used up ("budget")."""
    if counter.window == AT_ONCE:
        # With nothing under way, this one call alone is too large for a share: waiting does not help.
        return "rate" if state.held else "budget"
    if counter.unit == "calls":
        return "rate"
    if counter.unit == "nano_usd":
        return "budget"
    return "rate" if counter.window in RATE_WINDOWS or 0 < counter.span <= RATE_MS else "budget"


def shortage(claims: tuple[Claim, ...], short: Short, want: int, choices: int, estimate: Estimate) -> Refused:
    """The refusal for a hold the ledger had no room for: every scope in the way, and what would fit."""
    lacking = [(claims[i].hold, short.states[i]) for i in short.lacking]
    obstacles = tuple(_obstacle(h, state, want, short.now) for h, state in lacking)
    waits = [_wait(h.counter, state, short.now) for h, state in lacking]
    fit = short.fits // choices
    return Refused(
        "budget" if any(kind(h.counter, state) == "budget" for h, state in lacking) else "rate",
        _sentence(obstacles[0], lacking[0][0].counter.window, len(obstacles) - 1, fit),
        obstacles=obstacles,
        would_fit=fit if fit > 0 else None,
        retry_after=max((w for w in waits if w is not None), default=None),
        counted=estimate.tokens,
    )


def _obstacle(held: Hold, state: State, want: int, now: int) -> Obstacle:
    c = held.counter
    assert held.limit is not None
    resets = resets_at(c, now)
    return Obstacle(c.policy, dict(c.scope), c.unit, held.limit, state.spent, state.held, held.amount(want), resets)


def resets_at(counter: Counter, now: int) -> int | None:
    """When what is spent now counts no longer (milliseconds); None: never."""
    return now + counter.span if counter.span else counter.end or None


def _wait(counter: Counter, state: State, now: int) -> int | None:
    if counter.unit == "calls" or counter.window == AT_ONCE:
        return RETRY_SECONDS if kind(counter, state) == "rate" else None
    # A rolling window makes room bucket by bucket.
    return retry_after(now + counter.end - counter.start if counter.span else counter.end, now)


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
    AT_ONCE: " held at a time",
}
"""How a limit's window is said; one that never ends goes without saying."""


def _each(window: str) -> str:
    return f" in any {window.removeprefix('rolling ')}" if rolling(window) else EACH.get(window, "")


def _sentence(first: Obstacle, window: str, others: int, fit: int) -> str:
    who = ", ".join(f"{k} {v}" for k, v in first.scope.items()) or "everyone"
    allowed = amount_text(first.limit, first.unit) + _each(window)
    left = amount_text(max(0, first.limit - first.spent - first.held), first.unit)
    needed = amount_text(first.requested, first.unit)
    more = f" (and {others} more)" if others else ""
    hint = f" A max_tokens of {fit} would fit." if fit > 0 else ""
    return f"Policy '{first.policy}' allows {who} {allowed}: {left} left, {needed} needed for this request{more}.{hint}"
