"""What settlements teach the estimates, kept in the store: rings of observations by topic.

A worker tells what it has seen and hears what is new in one verb, so that one round trip a second
keeps all workers alike.  What a topic and an observation are is `core.counting.lesson`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from weighbridge.core.ledger import Verb

KEPT: Final = 32
"""Observations kept of a topic: the newest."""
MOST_TOPICS: Final = 2000
"""Topics kept; the one longest not heard of goes first (models are named by clients)."""
PAGE: Final = 200
"""Topics told at once."""


@dataclass(frozen=True, slots=True)
class Note:
    """One observation."""

    topic: str
    word: str
    """Letters, digits, colons and minus signs.  What is before the first colon tells it from others: a
    note that was told before changes nothing."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a topic."""

    count: int = 0
    """Observations ever."""
    words: tuple[str, ...] = ()
    """The newest, oldest first."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What changed since the version asked about, at most `PAGE` topics, those changed longest ago first."""

    version: int
    """Ask with it next; a store that never came so far begins anew."""
    records: Mapping[str, Record] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Learn(Verb[Learnt]):
    """Add notes in one step, and tell what changed since a version (0: everything)."""

    notes: tuple[Note, ...] = ()
    since: int = 0
