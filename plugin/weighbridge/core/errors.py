"""What can go wrong, and the answer each carries.

WeighbridgeError
├── Refused         a call is not let through: status, reason, every scope in the way, what would fit
├── ConfigError     settings or policies that cannot be: where, and the fix
└── StoreError      the ledger's store
    ├── StoreUnavailable   no answer in time, or one that says "not now"
    └── StoreCorrupt       a record that is not what the ledger wrote: see `weighbridge audit`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Reason = Literal[
    "malformed",
    "too_large",
    "unsupported_media",
    "context_length",
    "budget",
    "rate",
    "model_not_allowed",
    "unpriced_model",
    "unknown_key",
    "forbidden",
    "unmetered",
    "not_found",
    "store_down",
    "provider_down",
    "stopping",
]

STATUS: Mapping[Reason, int] = {
    "malformed": 400,
    "too_large": 413,
    "unsupported_media": 415,
    "context_length": 400,
    "budget": 429,
    "rate": 429,
    "model_not_allowed": 403,
    "unpriced_model": 403,
    "unknown_key": 401,
    "forbidden": 403,
    "unmetered": 403,
    "not_found": 404,
    "store_down": 503,
    "provider_down": 502,
    "stopping": 503,
}
"""HTTP status of each reason, the same in every dialect."""


class WeighbridgeError(Exception):
    """Root of everything weighbridge raises on purpose."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A scope that stood in the way of a call.  Amounts are in `unit`."""

    policy: str
    scope: Mapping[str, str]
    unit: str
    limit: int
    spent: int
    held: int
    requested: int
    resets_at: int | None
    """Milliseconds when the window ends; None for a limit without one."""


class Refused(WeighbridgeError):
    """A call that is not let through.

    `reason` decides the status and each dialect's own code; `obstacles` name every scope in the
    way; `would_fit` is the largest `max_tokens` that would have passed (None: no output would).
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        obstacles: tuple[Obstacle, ...] = (),
        would_fit: int | None = None,
        retry_after: int | None = None,
        param: str | None = None,
        counted: int | None = None,
        limit: int | None = None,
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.obstacles = obstacles
        self.would_fit = would_fit
        self.retry_after = retry_after
        """Whole seconds until it may pass; None where waiting does not help."""
        self.param = param
        """The request field at fault, where it is one."""
        self.counted = counted
        """Prompt tokens, where the prompt is too long."""
        self.limit = limit
        """Prompt tokens allowed, where the prompt is too long."""
        self.cause = cause
        """What lies behind it, for the operator's log; clients are not told."""

    @property
    def status(self) -> int:
        """HTTP status of the refusal."""
        return STATUS[self.reason]


class ConfigError(WeighbridgeError):
    """A setting that cannot be.  The message names the place (file, line, field) and the fix."""


class StoreError(WeighbridgeError):
    """The ledger's store could not do what it was asked; nothing was admitted on its account."""


class StoreUnavailable(StoreError):
    """No answer within the deadline, or an answer that says "not now" (loading, read-only, full)."""


class StoreCorrupt(StoreError):
    """A record holds something the ledger never writes; `weighbridge audit` names it."""


def machine_part(error: Refused, rfc3339: Any) -> dict[str, Any]:
    """The machine-readable part of a refusal, the same in all dialects: the first scope in the way
    spelled out, all of them under `scopes`.  `rfc3339` turns milliseconds into text."""
    scopes = [
        {
            "policy": o.policy,
            "scope": dict(o.scope),
            "unit": o.unit,
            "limit": o.limit,
            "spent": o.spent,
            "held": o.held,
            "requested": o.requested,
            "resets_at": None if o.resets_at is None else rfc3339(o.resets_at),
        }
        for o in error.obstacles
    ]
    first = scopes[0] if scopes else {"policy": None, "scope": {}, "limit": error.limit, "requested": error.counted}
    fit = None if error.would_fit is None else {"max_tokens": error.would_fit}
    return {"reason": error.reason, **first, "would_fit": fit, "scopes": scopes}
