"""What a client is told in words and headers, the same by whichever way in it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from weighbridge.core.admission import Ticket
from weighbridge.core.dialects.base import Dialect
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.errors import Refused, machine_part
from weighbridge.core.ledger import Hold, State
from weighbridge.core.model import Estimate, Json, Parts
from weighbridge.core.policy.budget import resets_at

STOPPING_SECONDS = 5
"""When to ask a gateway again that shuts down: another may answer at once, a new one in a moment."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer weighbridge gives itself."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def json_reply(document: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON answer."""
    return Reply(status, {"content-type": "application/json", **(headers or {})}, _dump(document))


def refused(error: Refused, dialect: Dialect, request_id: str) -> Reply:
    """A refusal in the client's dialect."""
    headers = {"x-weighbridge-request-id": request_id, "x-weighbridge-decision": "refuse"}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.reason == "budget":
        # SDKs retry a 429 by themselves, and this one stays as it is until the window ends.
        headers["x-should-retry"] = "false"
    return json_reply(dialect.refusal(error), error.status, headers)


def stopping(dialect: Dialect, request_id: str) -> Reply:
    """The refusal of a gateway that is shutting down; the connection is not kept."""
    message = "The gateway is shutting down. Try again shortly."
    told = refused(Refused("stopping", message, retry_after=STOPPING_SECONDS), dialect, request_id)
    return replace(told, headers={**told.headers, "connection": "close"})


def admitted(ticket: Ticket) -> dict[str, str]:
    """The headers of CONTRACT section 5 for an admitted call."""
    estimate = ticket.weighed.estimate
    return {
        "x-weighbridge-request-id": ticket.id,
        "x-weighbridge-decision": ticket.decision,
        **_estimated(estimate),
        "x-weighbridge-held-usd": usd(ticket.held_nano),
        **_remaining(ticket),
        **({"x-weighbridge-shadow": _printable(", ".join(ticket.shadow))} if ticket.shadow else {}),
    }


def counted(estimate: Estimate, dialect: Dialect) -> Reply:
    """The answer of a provider's count route."""
    return json_reply(dialect.count_reply(estimate.tokens), headers=_estimated(estimate))


def _estimated(estimate: Estimate) -> dict[str, str]:
    return {
        "x-weighbridge-input-tokens": str(estimate.tokens),
        "x-weighbridge-input-tokens-upper": str(estimate.upper),
        "x-weighbridge-count-method": _printable(estimate.method),
    }


def usd(nano: int) -> str:
    """Nano-dollars as a plain decimal of dollars."""
    whole, rest = divmod(nano, 1_000_000_000)
    return f"{whole}.{rest:09d}".rstrip("0").rstrip(".")


def estimate_part(estimate: Estimate) -> dict[str, Json]:
    """An estimate as `count --json` and `check --json` show it."""
    parts = {name: getattr(estimate.parts, name) for name in Parts.__slots__}
    return {"tokens": estimate.tokens, "upper": estimate.upper, "method": estimate.method, "parts": parts}


def verdict_admitted(ticket: Ticket) -> dict[str, Json]:
    """A dry run that would pass, as `/weighbridge/check` and `check --json` answer it."""
    scopes = [_scope(ticket, hold, state) for hold, state in zip(ticket.holds, ticket.states, strict=False)]
    return {
        "decision": ticket.decision,
        "reason": None,
        "estimate": estimate_part(ticket.weighed.estimate),
        "nano_usd": ticket.held_nano,
        "scopes": scopes,
        "would_fit": None if ticket.max_output is None else {"max_tokens": ticket.max_output},
        "shadow": list(ticket.shadow),
    }


def verdict_refused(error: Refused, estimate: Estimate | None) -> dict[str, Json]:
    """A dry run that would be refused."""
    part = machine_part(error, rfc3339)
    return {
        "decision": "refuse",
        "reason": error.reason,
        "message": error.message,
        "estimate": None if estimate is None else estimate_part(estimate),
        "nano_usd": None,
        "scopes": part["scopes"],
        "would_fit": part["would_fit"],
        "shadow": [],
    }


def _scope(ticket: Ticket, hold: Hold, state: State) -> dict[str, Json]:
    c, resets = hold.counter, resets_at(hold.counter, ticket.now)
    return {
        "policy": c.policy,
        "scope": dict(c.scope),
        "unit": c.unit,
        "limit": hold.limit,
        "spent": state.spent,
        "held": state.held,
        "requested": hold.amount(ticket.covered if hold.history else ticket.units),
        "resets_at": None if resets is None else rfc3339(resets),
    }


def _remaining(ticket: Ticket) -> dict[str, str]:
    items = [
        f"{_listable(claim.policy.name)};{_left(claim.hold, state)}"
        for claim, state in zip(ticket.claims, ticket.states, strict=False)
        if claim.hold.limit is not None and claim.spends
    ]
    return {"x-weighbridge-remaining": ", ".join(items)} if items else {}


def _left(hold: Hold, state: State) -> str:
    assert hold.limit is not None
    left = max(0, hold.limit - state.spent - state.held)
    return f"usd={usd(left)}" if hold.counter.unit == "nano_usd" else f"{hold.counter.unit}={left}"


def _printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if 32 <= ord(c) < 127 else "_" for c in text)


def _listable(text: str) -> str:
    """What does not look like the end of an item in a list of them."""
    return _printable(text).replace(",", "_").replace(";", "_")


def _dump(document: Json) -> bytes:
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode()
