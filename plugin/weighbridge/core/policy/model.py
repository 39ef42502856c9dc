"""Policies as frozen nouns.  `parse.py` makes them from documents, `window.py` and `budget.py` apply them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from weighbridge.core.ledger import Unit

Mode = Literal["enforce", "shadow"]
FIELDS = ("org", "team", "user", "key", "model", "provider")
"""What a policy can match on and count per, beside `tag.NAME`."""
Credits = Mapping[str, Mapping[str, int]]
"""Policy -> counter (its field) -> what was credited to it, in the counter's unit."""


@dataclass(frozen=True, slots=True)
class Window:
    """A span over which a limit holds."""

    text: str
    """As written: "minute" ... "month", "rolling 5h", "lifetime"; "" for `concurrent`."""
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class ContextRule:
    """A limit on the size of one prompt."""

    max_input_tokens: int
    on_exceed: Literal["reject", "trim", "reroute"] = "reject"
    reroute_to: str = ""


@dataclass(frozen=True, slots=True)
class ModelRule:
    """Which models may be asked for: shell globs; deny wins; an empty allow allows all."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule of CONTRACT section 4."""

    name: str
    match: Mapping[str, str] = field(default_factory=dict)
    """Field -> shell glob; all must match.  Empty: every call."""
    unit: Unit | None = None
    """What is limited; None where the policy limits no amount."""
    limit: int = 0
    """In `unit`."""
    window: Window = Window("lifetime")
    per: tuple[str, ...] = ()
    """One counter per distinct value of these; a call lacking one of them is counted under ""."""
    warn_at: tuple[float, ...] = ()
    mode: Mode = "enforce"
    hold: Literal["worst_case", "observed"] = "worst_case"
    on_exhausted: Literal["finish", "cut"] = "finish"
    max_held_share: float | None = None
    """The part of the limit that one user (or key, where there is no user) may have held at one time."""
    context: ContextRule | None = None
    models: ModelRule | None = None


@dataclass(frozen=True, slots=True)
class Defaults:
    """The `defaults:` block."""

    clamp_output: bool = True
    unpriced_model: Literal["reject", "allow"] | int = "reject"
    """Or nano-dollars held and charged per request of an unpriced model."""
    on_store_error: Literal["reject", "admit", "slice"] = "reject"


@dataclass(frozen=True, slots=True)
class Rules:
    """All policies in force, and the defaults: an immutable snapshot with its version."""

    policies: tuple[Policy, ...] = ()
    defaults: Defaults = Defaults()
    version: int = 0
    credits: Credits = field(default_factory=dict)
    credits_version: int = 0


Document = Mapping[str, Any]
"""A policy as YAML or JSON has it."""
