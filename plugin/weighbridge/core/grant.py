"""The ledger's one decision, in Python: how many output tokens fit on every counter.

The memory store decides with it, `check` foretells with it, and the Lua scripts must agree with it
(a property test holds them together).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType

from weighbridge.core.ledger import LARGEST, Extend, Granted, Hold, Reserve, Short, State

NOT_EVEN_THE_PROMPT = -1
Need = Mapping[str, int]
"""What is to be held, by the counter's field: holds of one call on one counter add up."""
Expected = Mapping[str, int]
"""Output tokens to be expected, by the history's name; one that is absent says nothing yet."""
WORST_CASE: Expected = MappingProxyType({})


def decide(reserve: Reserve, states: tuple[State, ...], now: int, expected: Expected = WORST_CASE) -> Granted | Short:
    """Grant as much of `want` as every counter has room for, at least `least`; or say what lacks.

    `states` are the counters before this call, in the order of `reserve.holds`.
    """

    def lacking(units: int) -> tuple[int, ...]:
        return _lacking(reserve.holds, states, needs(reserve.holds, units, expected))

    units = _most(reserve.want, 0, lacking)
    if units >= reserve.least:
        after = _after(reserve.holds, states, needs(reserve.holds, units, expected))
        return Granted(units, after, now, _covered(reserve.holds, units, expected))
    return Short(states, lacking(reserve.want), units, now)


def stretch(
    extend: Extend, units: int, covered: int, held: Need, states: tuple[State, ...], now: int
) -> Granted | Short:
    """Cover as much of `extend.units` as every counter has room for, more than `covered`.

    `units` were granted, and `held` is what the call holds; `states` are as for `decide`.  A Short
    says what is covered as `fits`.
    """
    want = min(extend.units, units)
    if want <= covered:
        return Granted(units, states, now, covered)

    def lacking(cover: int) -> tuple[int, ...]:
        more = further(extend.holds, cover, held)
        asked = tuple(i for i, hold in enumerate(extend.holds) if more[hold.counter.field])
        return tuple(i for i in _lacking(extend.holds, states, more) if i in asked)

    cover = _most(want, covered, lacking)
    if cover <= covered:
        return Short(states, lacking(want), covered, now)
    return Granted(units, _after(extend.holds, states, further(extend.holds, cover, held)), now, cover)


def needs(holds: tuple[Hold, ...], units: int, expected: Expected = WORST_CASE) -> Need:
    """What these holds take for `units`, or for fewer where a hold goes by its history."""
    need: dict[str, int] = defaultdict(int)
    for hold in holds:
        need[hold.counter.field] += hold.amount(min(units, expected.get(hold.history, units)))
    return need


def further(holds: tuple[Hold, ...], cover: int, held: Need) -> Need:
    """What is to be held beyond `held`, so that `cover` output tokens are covered."""
    return {name: max(0, amount - held.get(name, 0)) for name, amount in needs(holds, cover).items()}


def _most(high: int, low: int, lacking: Callable[[int], tuple[int, ...]]) -> int:
    """The most output tokens from `low` to `high` that nothing lacks; `NOT_EVEN_THE_PROMPT` if none do."""
    if not lacking(high):
        return high
    if lacking(low):
        return NOT_EVEN_THE_PROMPT
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if lacking(middle) else (middle, high)
    return low


def _lacking(holds: tuple[Hold, ...], states: tuple[State, ...], need: Need) -> tuple[int, ...]:
    pairs = enumerate(zip(holds, states, strict=True))
    return tuple(i for i, (hold, state) in pairs if not _has_room(hold, state, need))


def _has_room(hold: Hold, state: State, need: Need) -> bool:
    return hold.limit is None or need[hold.counter.field] <= hold.limit - state.spent - state.held


def _after(holds: tuple[Hold, ...], states: tuple[State, ...], need: Need) -> tuple[State, ...]:
    pairs = zip(holds, states, strict=True)
    return tuple(State(s.spent, min(s.held + need[h.counter.field], LARGEST)) for h, s in pairs)


def _covered(holds: tuple[Hold, ...], units: int, expected: Expected) -> int:
    return min((units, *(expected[hold.history] for hold in holds if hold.history in expected)))
