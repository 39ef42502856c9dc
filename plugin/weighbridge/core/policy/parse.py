"""Policies from documents (YAML or JSON as Python has it) and back.

Every field is a row in a table: its name, and the reader that makes the value or says what is wrong.
What a reader cannot see, two fields that contradict each other, is checked in `policy` afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from weighbridge.core.ledger import Unit
from weighbridge.core.policy.fields import DEFAULTS, POLICY, WRITTEN, ordered
from weighbridge.core.policy.model import Defaults, Document, Policy, Window
from weighbridge.core.policy.reading import Path, PolicyError, dollars, items, nano_usd, table
from weighbridge.core.policy.window import CALENDAR

__all__ = [
    "PolicyError",
    "defaults",
    "defaults_document",
    "document",
    "nano_usd",
    "policies",
    "policy",
]

_NEEDS_LIMIT = ("window", "timezone", "per", "warn_at", "hold", "on_exhausted", "max_held_share")
_OUTPUT_UNITS = ("nano_usd", "tokens", "output_tokens")
"""Units in which the output of a call weighs something."""


def policies(document: Document) -> tuple[tuple[Policy, ...], Defaults]:
    """A whole file: {"policies": [...], "defaults": {...}}.  Raises PolicyError."""
    found = table(document, (), {"policies": items, "defaults": _defaults})
    read: dict[str, Policy] = {}
    for index, row in enumerate(found.get("policies", ())):
        path: Path = ("policies", index)
        one = _policy(row, path)
        if one.name in read:
            raise PolicyError((*path, "name"), f"{one.name!r} is taken by an earlier policy; give each its own name")
        read[one.name] = one
    return tuple(read.values()), found.get("defaults", Defaults())


def policy(document: Document) -> Policy:
    """One policy.  Raises PolicyError."""
    return _policy(document, ())


def defaults(document: Document) -> Defaults:
    """The `defaults:` block.  Raises PolicyError."""
    return _defaults(document, ())


def document(policy: Policy) -> dict[str, Any]:
    """The policy in canonical JSON form; `policy(document(p)) == p`."""
    written: dict[str, Any] = {"name": policy.name}
    if policy.match:
        written["match"] = {field: policy.match[field] for field in ordered(policy.match)}
    if policy.unit is not None:
        written |= _limit_document(policy, policy.unit)
    if policy.mode != "enforce":
        written["mode"] = policy.mode
    if policy.context is not None:
        rule = policy.context
        on_exceed = f"reroute {rule.reroute_to}" if rule.on_exceed == "reroute" else rule.on_exceed
        written["context"] = {"max_input_tokens": rule.max_input_tokens, "on_exceed": on_exceed}
    if policy.models is not None:
        lists = {"allow": policy.models.allow, "deny": policy.models.deny}
        written["models"] = {name: list(globs) for name, globs in lists.items() if globs}
    return written


def defaults_document(defaults: Defaults) -> dict[str, Any]:
    """The defaults in canonical JSON form; `defaults(defaults_document(d)) == d`."""
    rule = defaults.unpriced_model
    return {
        "clamp_output": defaults.clamp_output,
        "unpriced_model": {"usd_per_request": dollars(rule)} if isinstance(rule, int) else rule,
        "on_store_error": defaults.on_store_error,
    }


def _limit_document(policy: Policy, unit: Unit) -> dict[str, Any]:
    amount = dollars(policy.limit) if unit == "nano_usd" else policy.limit
    plain = Policy(policy.name)
    written: dict[str, Any] = {"limit": {WRITTEN[unit]: amount}}
    if policy.window.text:
        written["window"] = policy.window.text
    if policy.window.timezone != "UTC":
        written["timezone"] = policy.window.timezone
    written["per"] = list(policy.per)
    if policy.warn_at:
        written["warn_at"] = list(policy.warn_at)
    if policy.hold != plain.hold:
        written["hold"] = policy.hold
    if policy.on_exhausted != plain.on_exhausted:
        written["on_exhausted"] = policy.on_exhausted
    if policy.max_held_share is not None:
        written["max_held_share"] = policy.max_held_share
    return written


def _policy(document: Any, path: Path) -> Policy:
    read = table(document, path, POLICY)
    if "name" not in read:
        raise PolicyError((*path, "name"), "is missing; write e.g. `name: research-month`")
    made = Policy(
        name=read["name"],
        match=read.get("match", {}),
        mode=read.get("mode", "enforce"),
        context=read.get("context"),
        models=read.get("models"),
    )
    if "limit" in read:
        return _limited(made, read, path)
    for field in _NEEDS_LIMIT:
        if field in read:
            raise PolicyError((*path, field), "says nothing without a limit; add e.g. `limit: {usd: 500}`")
    if made.context is None and made.models is None:
        raise PolicyError(path, "limits nothing; add `limit`, `context` or `models`")
    return made


def _limited(made: Policy, read: Mapping[str, Any], path: Path) -> Policy:
    """The policy with its limit, and everything that goes only with one."""
    unit, limit = read["limit"]
    made = replace(
        made,
        unit=unit,
        limit=limit,
        window=_when(unit, read, path),
        per=read.get("per", ordered(made.match)),
        warn_at=read.get("warn_at", ()),
        hold=read.get("hold", made.hold),
        on_exhausted=read.get("on_exhausted", made.on_exhausted),
        max_held_share=read.get("max_held_share"),
    )
    for field in ("hold", "on_exhausted"):
        if field in read and unit not in _OUTPUT_UNITS:
            raise PolicyError((*path, field), "goes only with a limit on usd, tokens or output_tokens; drop it")
    if made.warn_at and unit == "calls":
        raise PolicyError((*path, "warn_at"), "warns of what is spent, and `concurrent` spends nothing; drop it")
    return made


def _when(unit: Unit, read: Mapping[str, Any], path: Path) -> Window:
    """The window of a limit, in its time zone."""
    if unit == "calls":
        for field in ("window", "timezone"):
            if field in read:
                raise PolicyError((*path, field), "does not go with `concurrent`, which counts calls now open; drop it")
        return Window("")
    if "window" not in read:
        fix = "is missing; write e.g. `window: month`, or `window: lifetime` for one that never ends"
        raise PolicyError((*path, "window"), fix)
    if "timezone" in read and read["window"] not in CALENDAR:
        raise PolicyError((*path, "timezone"), f"goes with calendar windows ({', '.join(CALENDAR)}) only; drop it")
    return Window(read["window"], read.get("timezone", "UTC"))


def _defaults(document: Any, path: Path) -> Defaults:
    return Defaults(**table(document, path, DEFAULTS))
