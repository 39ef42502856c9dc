"""What the workers under fire do: calls as generators, the same for threads and for an event loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from random import Random
from time import time
from typing import Any

from weighbridge.core.ledger import Charge, Counter, Entry, Extend, Granted, Hold, Moved, Renew, Reserve, Settle, Verb

TEAMS = 4
WINDOW = 2000
"""Milliseconds of the short windows."""
LONGEST_LEASE = 2500
"""Milliseconds a hold is open at most after its last renewal."""
GIVES_UP = 60
"""How often a worker asks a store that is not there before it lets a call go."""

Step = Verb[Any] | float
"""A verb to ask (the answer is sent back, or None where the store could not), or seconds to wait."""
Call = Generator[Step, Any, None]
Tell = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker process is told: JSON on its command line."""

    url: str
    log: str
    """Where it writes what was acknowledged, a JSON line each."""
    slot: int
    life: int
    """How many processes had this slot before."""
    operations: int
    """For all of the slot's processes together."""
    budget: int
    """The limit of what a team may spend in the whole test."""
    asynchronous: bool
    deadline: float

    def text(self) -> str:
        return json.dumps(asdict(self))


def limits(budget: int) -> dict[str, int | None]:
    """By policy.  A short window refuses often, `team` runs dry for the last team, `all` never; `roll`
    looks back for longer than a small scene takes."""
    return {"team": budget, "burst": 20_000, "open": 30, "all": 100 * budget, "roll": budget // 2, "shadow": None}


def limit_of(counter: Counter, budget: int) -> int | None:
    limit = limits(budget)[counter.policy]
    dry = counter.policy == "team" and counter.scope == (("team", f"t{TEAMS - 1}"),)
    return limit // 20 if dry and limit else limit


def counters(team: str, now: int) -> dict[str, Counter]:
    start, second = now // WINDOW * WINDOW, now // 1000 * 1000
    return {
        "team": Counter("team", "nano_usd", "lifetime", (("team", team),)),
        "burst": Counter("burst", "tokens", "burst", (("team", team),), start, start + WINDOW),
        "open": Counter("open", "calls", "", ()),
        "all": Counter("all", "nano_usd", "lifetime", ()),
        "roll": Counter("roll", "tokens", "rolling 60 s", (("team", team),), second, second + 1000, 60_000),
        "shadow": Counter("shadow", "requests", "lifetime", (("team", team),)),
    }


def call(dice: Random, name: str, budget: int, tell: Tell) -> Call:
    """One call's life: reserved, perhaps renewed, then settled, released, left to expire, or late."""
    team = f"t{dice.randrange(TEAMS)}"
    want, lease = dice.randrange(2000), dice.randrange(200, LONGEST_LEASE)
    least = dice.randrange(want + 1)
    now = int(time() * 1000)
    asked = _asked(dice, counters(team, now), budget)
    reserve = Reserve(name, asked, want, least, lease)
    answer = yield from _insist(reserve, dice.randrange(5))
    if isinstance(answer, Moved):
        asked = tuple(replace(hold, counter=counters(team, answer.now)[hold.counter.policy]) for hold in asked)
        answer = yield from _insist(Reserve(name, asked, want, least, lease), dice.randrange(5))
    tell("reserved", name, type(answer).__name__, getattr(answer, "units", -1))
    if answer is None and dice.random() < 0.5:
        yield Settle(name)
    if isinstance(answer, Granted):
        if dice.random() < 0.1:
            again = yield reserve
            tell("again", name, type(again).__name__, getattr(again, "units", -1))
        yield from _live(dice, name, asked, answer, lease, tell)


def _asked(dice: Random, all_of: dict[str, Counter], budget: int) -> tuple[Hold, ...]:
    chosen = dice.sample(sorted(all_of), dice.randrange(2, 7))
    money = (dice.randrange(10, 800), dice.choice([0, 1, 333, 1000]))
    amounts = {"open": (1, 0), "shadow": (1, 0)}
    history = dice.choice(["", "fire"])
    holds = tuple(Hold(all_of[p], limit_of(all_of[p], budget), *amounts.get(p, money), history) for p in chosen)
    return holds + holds[:1] if dice.random() < 0.05 else holds


def _live(dice: Random, name: str, asked: tuple[Hold, ...], granted: Granted, lease: int, tell: Tell) -> Call:
    yield dice.random() * 0.05
    if dice.random() < 0.25:
        kept = yield Renew(name, dice.randrange(200, LONGEST_LEASE))
        tell("renewed", name, kept)
    fate = dice.choices(("settled", "released", "left", "late"), (70, 12, 14, 4))[0]
    if fate == "left":
        return
    if fate == "late":
        yield lease / 1000
    if fate == "released":
        yield from _insist(Settle(name), GIVES_UP)
        return
    used = yield from _grown(dice, name, asked, granted, tell)
    charges = tuple(Charge(h.counter, h.amount(used)) for h in asked if h.counter.policy != "open")
    heard = tuple({hold.history for hold in asked} - {""})
    verb = Settle(name, charges, Entry(name, team="fire", output=used), output=used, histories=heard)
    tell("settling", name)
    answer = yield from _insist(verb, GIVES_UP)
    if answer is not None:
        tell("settled", name, answer.outcome, time())
    if answer is not None and dice.random() < 0.1:
        answer = yield verb
        tell("settled again", name, getattr(answer, "outcome", ""))


def _grown(dice: Random, name: str, asked: tuple[Hold, ...], granted: Granted, tell: Tell) -> Generator[Step, Any, int]:
    """How much was generated: what the ledger covers, and now and then twice what it granted."""
    if dice.random() < 0.05:
        return 2 * granted.units
    used = dice.randrange(granted.units + 1) if dice.random() < 0.3 else dice.randrange(granted.units // 4 + 1)
    if used <= granted.covered:
        return used
    answer = yield Extend(name, asked, used)
    tell("extended", name, type(answer).__name__)
    return min(used, answer.covered if isinstance(answer, Granted) else granted.covered)


def _insist(verb: Verb[Any], times: int) -> Generator[Step, Any, Any]:
    answer = yield verb
    while answer is None and times > 0:
        yield 0.05
        answer = yield verb
        times -= 1
    return answer
