"""What a ledger is asked, and what it answers: nouns only.

Every verb is a frozen value.  A store runs one verb at a time, atomically, and answers with the
type the verb names; so a store is one method (`run`), once with `await` and once without, and the
memory reference, Redis and the tests speak the same language.

A *hold* is an amount set aside on a counter until the call ends.  Its amount is affine in the
output that may still come: `fixed + ceil(units * per_output / 1000)`.  The store grants as many
units (output tokens) as every counter has room for, never fewer than `least`, in one step; so a
clamp is decided where the money is, and cannot race.

    spent + held + amount <= limit      for every counter of the call, or nothing is written
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, Literal, TypeVar
from urllib.parse import quote, unquote

T = TypeVar("T")
Unit = Literal["nano_usd", "tokens", "input_tokens", "output_tokens", "requests", "calls"]
LARGEST = 2**53 - 1
"""Largest amount a ledger takes: Lua's numbers are doubles."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One number the ledger keeps: one policy's limit, for one scope, in one window."""

    policy: str
    unit: Unit
    window: str
    """The window as written in the policy ("month", "lifetime", "" for `concurrent`)."""
    scope: tuple[tuple[str, str], ...]
    """The distinct values this counter is for, e.g. (("team", "research"),)."""
    start: int = 0
    """First millisecond of the window; 0 where it has none."""
    end: int = 0
    """First millisecond after the window; 0 where it never ends."""
    span: int = 0
    """Milliseconds a rolling window looks back; 0 for any other.  Then `start` and `end` are those of
    the bucket being filled, and a limit is held against all of `buckets()` together."""
    field: str = field(init=False, compare=False, repr=False)
    """The counter's name in the store.  Values are quoted, so no value can imitate another."""

    def __post_init__(self) -> None:
        scope = "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in self.scope)
        window = f"{_quoted(self.window)}|{scope}|{self.start}|{self.end}|{self.span}"
        object.__setattr__(self, "field", f"{_quoted(self.policy)}|{self.unit}|{window}")

    @classmethod
    def parse(cls, text: str) -> Counter:
        """The counter a store's field names.  Raises ValueError where it is none."""
        policy, unit, window, scope, start, end, span = text.split("|")
        pairs = tuple((unquote(k), unquote(v)) for k, _, v in (p.partition("=") for p in scope.split("&") if p))
        numbers = int(start), int(end), int(span)
        return cls(unquote(policy), unit, unquote(window), pairs, *numbers)  # type: ignore[arg-type]

    def buckets(self) -> tuple[Counter, ...]:
        """What its limit is held against: itself, and before it the buckets of a rolling window."""
        if not self.span:
            return (self,)
        length = self.end - self.start
        back = range(0, -(-self.span // length) + 1)
        return tuple(replace(self, start=self.start - n * length, end=self.end - n * length) for n in back)


def _quoted(text: str) -> str:
    return text if text.isalnum() and text.isascii() else quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Hold:
    """What one call asks of one counter."""

    counter: Counter
    limit: int | None
    """None: counted and never refused (shadow mode)."""
    fixed: int
    """Held whatever is generated (the prompt, or the request itself)."""
    per_output: int = 0
    """Thousandths of the unit for each output token granted."""
    history: str = ""
    """Where the store remembers what calls like this one returned.  Then only the output to be
    expected is held at first, and `Extend` holds more as the answer grows; "": hold all of it."""

    def amount(self, units: int) -> int:
        """Held for `units` output tokens, rounded up."""
        return affine(self.fixed, self.per_output, units)


def affine(fixed: int, per_output: int, units: int) -> int:
    """`fixed + ceil(units * per_output / 1000)`: what a call may use, given its output tokens."""
    return fixed - (-units * per_output // 1000)


@dataclass(frozen=True, slots=True)
class State:
    """A counter as it stands; of a rolling window, all its buckets together."""

    spent: int
    held: int


class Verb(Generic[T]):
    """A question whose answer is a T."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Granted:
    """All counters had room: the amounts are held under the call's id."""

    units: int
    """Output tokens the call may generate; fewer than wanted when a counter had less room."""
    states: tuple[State, ...]
    """Each counter with this hold in it, in the order asked."""
    now: int
    covered: int
    """Output tokens held for on every counter: `units`, or fewer where a hold goes by its history.
    Beyond them, extend first."""


@dataclass(frozen=True, slots=True)
class Short:
    """At least one counter had no room for the least output; nothing was written."""

    states: tuple[State, ...]
    """Every counter as it stands, in the order asked."""
    lacking: tuple[int, ...]
    """Indexes of the counters without room for `want` units."""
    fits: int
    """Output tokens that would have fitted everywhere; negative: not even the prompt does."""
    now: int


@dataclass(frozen=True, slots=True)
class Moved:
    """The store's clock is outside a window that was asked for: ask again with its time."""

    now: int


@dataclass(frozen=True, slots=True)
class Reserve(Verb["Granted | Short | Moved"]):
    """Hold on every counter or on none.  The same id again answers what it was granted before."""

    id: str
    holds: tuple[Hold, ...]
    want: int = 0
    """Output tokens (all choices together) the call may generate."""
    least: int = 0
    """Fewest output tokens worth sending it for; equal to `want` where a clamp is not allowed."""
    lease_ms: int = 120_000
    now: int | None = None
    """The clock, in tests only; None: the store's own."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The hold asked about is no longer open."""

    now: int


@dataclass(frozen=True, slots=True)
class Extend(Verb["Granted | Short | Ended"]):
    """Hold for more output than is covered: on every counter that went by its history, or on none.
    Asking again for what is covered already changes nothing."""

    id: str
    holds: tuple[Hold, ...]
    """Those of the reservation."""
    units: int
    """Output tokens to cover, all choices together.  Fewer are granted where a counter has less
    room, but more than were covered; else the answer is Short, whose `fits` is what is covered."""
    now: int | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """What a counter is charged in the end."""

    counter: Counter
    amount: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A journal line: one settlement, with everything a report or an audit asks."""

    id: str
    org: str = ""
    team: str = ""
    user: str = ""
    key: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    provider: str = ""
    dialect: str = ""
    ending: str = ""
    """"reported", or "cut off: WHY"."""
    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    nano_usd: int = 0
    held_nano_usd: int = 0
    overrun_nano_usd: int = 0
    """What went beyond the hold."""
    estimate: int = 0
    upper: int = 0
    method: str = ""
    decision: str = ""
    charges: tuple[tuple[str, int], ...] = ()
    """(counter field, amount), as charged: what `audit` adds up."""
    at: int = 0
    """When the store settled it (milliseconds); filled in by the store."""
    cursor: str = ""
    """Its place in the journal; filled in by the store."""


Outcome = Literal["settled", "late", "already"]


@dataclass(frozen=True, slots=True)
class Settled:
    """How a settlement went: "settled" an open hold, came "late" (expired or never held; charged
    all the same), or found it "already" settled and changed nothing."""

    outcome: Outcome
    now: int
    states: tuple[State, ...] = ()
    """Each charged counter afterwards, in the order charged; empty where nothing was.  Of a rolling
    window, the newest that looks back on the bucket charged."""


@dataclass(frozen=True, slots=True)
class Settle(Verb[Settled]):
    """End a hold: give back what was set aside, charge what was used, write the journal.  Never
    refused.  Without charges and entry it is a release."""

    id: str
    charges: tuple[Charge, ...] = ()
    entry: Entry | None = None
    now: int | None = None
    output: int | None = None
    """Output tokens to remember in `histories`; None: nobody knows."""
    histories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Renew(Verb[bool]):
    """Lengthen a hold's lease to `lease_ms` from now.  False: it is no longer open."""

    id: str
    lease_ms: int = 120_000
    now: int | None = None


@dataclass(frozen=True, slots=True)
class Peek(Verb["tuple[State, ...]"]):
    """Counters as they stand; one never touched is (0, 0)."""

    counters: tuple[Counter, ...]


@dataclass(frozen=True, slots=True)
class Counters(Verb["tuple[tuple[Counter, State], ...]"]):
    """Every counter the store keeps, or those of one policy."""

    policy: str | None = None


@dataclass(frozen=True, slots=True)
class OpenHolds(Verb["tuple[tuple[str, int], ...]"]):
    """(id, milliseconds when its lease ends) of every open hold."""


@dataclass(frozen=True, slots=True)
class Entries(Verb["tuple[Entry, ...]"]):
    """A page of the journal, oldest first, from `since` (milliseconds) on."""

    since: int = 0
    after: str = ""
    """The last entry's `cursor`: the page starts behind it; "" starts at `since`."""
    most: int = 1000
