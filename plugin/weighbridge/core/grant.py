"""The ledger's one decision, in Python: how many output tokens fit on every counter.

The memory store decides with it, `check` foretells with it, and `reserve.lua` must agree with it
(a property test holds them together).
"""

from __future__ import annotations

from collections import defaultdict

from weighbridge.core.ledger import Granted, Hold, Reserve, Short, State

NOT_EVEN_THE_PROMPT = -1


def decide(reserve: Reserve, states: tuple[State, ...], now: int) -> Granted | Short:
    """Grant as much of `want` as every counter has room for, at least `least`; or say what lacks.

    `states` are the counters before this call, in the order of `reserve.holds`.  Several holds on
    one counter must fit together.
    """
    fits = most_units(reserve, states)
    if fits >= reserve.least:
        return Granted(fits, _after(reserve.holds, states, fits), now, fits)
    need = _needs(reserve.holds, reserve.want)
    pairs = zip(reserve.holds, states, strict=True)
    lacking = tuple(i for i, (hold, state) in enumerate(pairs) if not _has_room(hold, state, need))
    return Short(states, lacking, fits, now)


def most_units(reserve: Reserve, states: tuple[State, ...]) -> int:
    """The most output tokens, `want` at most, that fit everywhere; `NOT_EVEN_THE_PROMPT` if none do."""
    if _fit(reserve.holds, states, reserve.want):
        return reserve.want
    if not _fit(reserve.holds, states, 0):
        return NOT_EVEN_THE_PROMPT
    low, high = 0, reserve.want
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _fit(reserve.holds, states, middle) else (low, middle)
    return low


def _fit(holds: tuple[Hold, ...], states: tuple[State, ...], units: int) -> bool:
    need = _needs(holds, units)
    return all(_has_room(hold, state, need) for hold, state in zip(holds, states, strict=True))


def _has_room(hold: Hold, state: State, need: dict[str, int]) -> bool:
    return hold.limit is None or need[hold.counter.field] <= hold.limit - state.spent - state.held


def _needs(holds: tuple[Hold, ...], units: int) -> dict[str, int]:
    need: dict[str, int] = defaultdict(int)
    for hold in holds:
        need[hold.counter.field] += hold.amount(units)
    return need


def _after(holds: tuple[Hold, ...], states: tuple[State, ...], units: int) -> tuple[State, ...]:
    need = _needs(holds, units)
    return tuple(State(s.spent, s.held + need[h.counter.field]) for h, s in zip(holds, states, strict=True))
