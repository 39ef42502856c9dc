"""Which items of a conversation stay when its oldest turns are left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weighbridge.core.model import Message, Role, ToolResult


def kept(roles: Sequence[Role], drop: int) -> frozenset[int]:
    """Indexes that stay.  A turn begins with a user's message and reaches to the next one, so a tool
    call and its result stay or go together; system messages and the last turn always stay."""
    begins = [i for i, role in enumerate(roles) if role == "user" and (i == 0 or roles[i - 1] != "user")]
    first = next((i for i, role in enumerate(roles) if role != "system"), 0)
    starts = sorted({first, *begins})
    stays_from = starts[min(drop, len(starts) - 1)]
    return frozenset(i for i, role in enumerate(roles) if role == "system" or i >= stays_from)


def speakers(messages: Iterable[Message]) -> list[Role]:
    """Roles of messages, with what tools answered told apart from what a user said."""
    return ["tool" if any(isinstance(p, ToolResult) for p in m.parts) else m.role for m in messages]
