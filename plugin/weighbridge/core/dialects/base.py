"""What a wire format must be able to do.  One file a format ends in `DIALECT = Dialect(...)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, CutOff, Ending, Json, RawCall, Usage


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a decision changes in a request body; everything else stays byte for byte."""

    max_output: int | None = None
    """Lower (or set) the most output tokens of one choice."""
    model: str | None = None
    """Another model instead (reroute), where the body names it."""
    ask_usage: bool = False
    """Ask the provider to report usage at the end of the stream."""
    drop_turns: int = 0
    """Leave out this many of the oldest turns, system and the last turn kept (trim)."""


AS_SENT = Amendment()
"""Nothing is changed."""


class Meter(Protocol):
    """Watches an answer go by and knows in the end what it used.  One per answer; constant memory
    for streams."""

    def feed(self, chunk: bytes) -> bytes:
        """Take the provider's next bytes; give back those that go on to the client: the very same
        object, but for the usage event that was asked for on the client's behalf."""

    def finish(self) -> bytes:
        """The provider ended its answer: bytes still held back (an unfinished last event)."""

    def seen(self) -> CutOff:
        """What went by so far: how the call would have ended if it broke off now."""

    def ending(self, cut: str = "") -> Ending:
        """How the call ended.  `cut` says why the answer broke off, or is "" where it did not.
        An answer that is whole but carries no usage is a CutOff ("no usage reported") too."""


class Closing(Protocol):
    """What one streamed answer has begun, and so has to end."""

    def hear(self, event: Mapping[str, Any]) -> None:
        """Note what an event begins or ends."""

    def say(self, used: Usage) -> list[Json]:
        """The events that are missing for an answer cut short by its limit of tokens; what is no object
        is sent as it is.  Nothing where it has ended already."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format."""

    name: str
    parse: Callable[[RawCall], Call]
    """Raises Refused("malformed" | ...) for a body the provider would refuse too."""
    usage: Callable[[Json], Usage | None]
    """Usage in a complete answer's JSON body (or in one event of a stream); None where absent."""
    meter: Callable[[Call, Mapping[str, str]], Meter]
    """A meter for the answer to this call, given the answer's lower-case headers."""
    amend: Callable[[bytes, Call, Amendment], bytes]
    """The request body with an amendment made in place."""
    refusal: Callable[[Refused], Json]
    """A refusal's body in the provider's own words, with the machine-readable part in it."""
    count_reply: Callable[[int], Json]
    """The answer of the provider's count route."""
    closing: Callable[[Call], Closing] | None = None
    """How a streamed answer to this call is brought to its end by us; None: it can only break off."""
    parse_count: Callable[[RawCall], Call] | None = None
    """`parse` for bodies of the count route, where they differ; None where they do not."""


Event = Mapping[str, Any]
