"""How a replay is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from weighbridge.adapters.cli import show
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.hindsight import Hindsight, Score

DECISIONS: Final = {"clamp": "clamped", "trim": "trimmed", "reroute": "rerouted"}
"""Decision -> the word for calls it was taken on."""


def assumptions(assumed: Mapping[str, int], start: int, every: str, takes: str) -> list[str]:
    """What the rows did not say, and what was taken for it, as sentences."""
    told = {
        "nameless": ("Rows that do not say who sent them", "taken as given on the command line"),
        "timeless": ("Rows that do not say when", f"one every {every}, the first at {show.moment(start)}"),
        "unmeasured": ("Rows that do not say how long they took", f"{takes} each"),
        "unbilled": ("Rows without a bill", "settled with their estimated prompt and no output"),
        "late": ("Rows sent before the row above them", "taken at that row's time"),
    }
    return [f"{what}: {assumed[name]:,}; {taken}." for name, (what, taken) in told.items() if assumed.get(name)]


def document(found: Hindsight, assumed: list[str]) -> dict[str, Any]:
    """The JSON document."""
    return {
        "rows": found.rows,
        **_passed(found.decided),
        "refused": dict(found.refused.most_common()),
        "failed": dict(found.failed.most_common()),
        "nano_usd": found.spent,
        "overrun_nano_usd": found.overrun,
        "refused_nano_usd": found.kept,
        "first_refused": _first(found.first),
        "policies": [_score(score) for score in found.scores.values()],
        "assumed": assumed,
    }


def _passed(decided: Counter[str]) -> dict[str, int]:
    return {"admitted": decided.total(), **{word: decided[name] for name, word in DECISIONS.items()}}


def _first(rows: list[tuple[str, str, int]]) -> list[dict[str, str]]:
    return [{"row": row, "reason": reason, "at": rfc3339(at)} for row, reason, at in rows]


def _score(score: Score) -> dict[str, Any]:
    policy = score.policy
    return {
        "policy": policy.name,
        "mode": policy.mode,
        "unit": policy.unit,
        "limit": policy.limit if policy.unit else None,
        "window": policy.window.text if policy.unit else None,
        "matched": score.matched,
        **_passed(score.decided),
        "refused": dict(score.refused.most_common()),
        "would_refuse": score.shadowed,
        "spent": score.spent,
        "peak": score.peak,
        "peak_scope": dict(score.peak_scope),
        "scopes": len(score.scopes),
        "first_refused": _first(score.first),
    }


def tell(found: Hindsight, assumed: list[str]) -> None:
    """The same for people."""
    passed, refused = found.decided.total(), found.refused.total()
    show.line(f"{found.rows:,} rows: {passed:,} admitted{_changed(found.decided)}, {refused:,} refused.", "bold")
    show.line(f"Spent {show.dollars(found.spent)}; the refused calls were billed {show.dollars(found.kept)}.")
    for words in (*_reasons("Refused", found.refused), *_reasons("Not read", found.failed), *assumed):
        show.line(words, "dim")
    show.line()
    columns = (
        "policy", ">limit", ">matched", ">admitted", ">clamped", ">trimmed", ">refused", ">spent", ">peak", "of",
    )  # fmt: skip
    show.table(columns, [_cells(score) for score in found.scores.values()])
    if found.first:
        show.line()
        show.table(("first refused", "reason", "at"), [(row, why, show.moment(at)) for row, why, at in _all(found)])


def _all(found: Hindsight) -> list[tuple[str, str, int]]:
    """First refusals, those of each policy among them, in the order of their times."""
    told: dict[tuple[str, str, int], list[str]] = {}
    for score in found.scores.values():
        for row in score.first:
            told.setdefault(row, []).append(score.policy.name)
    for row in found.first:
        told.setdefault(row, [])
    ordered = sorted(told.items(), key=lambda pair: pair[0][2])
    return [(row, f"{why} ({', '.join(names)})" if names else why, at) for (row, why, at), names in ordered]


def _changed(decided: Counter[str]) -> str:
    words = ", ".join(f"{decided[name]:,} {word}" for name, word in DECISIONS.items() if decided[name])
    return f" ({words})" if words else ""


def _reasons(what: str, reasons: Counter[str]) -> list[str]:
    named = ", ".join(f"{why} ({n:,})" for why, n in reasons.most_common(6))
    return [f"{what}: {named}"] if named else []


def _cells(score: Score) -> tuple[str, ...]:
    policy = score.policy
    name = policy.name + (" (shadow)" if policy.mode == "shadow" else "")
    refused = f"{score.refused.total() or score.shadowed:,}"
    passed = (f"{score.decided.total():,}", f"{score.decided['clamp']:,}", f"{score.decided['trim']:,}")
    if policy.unit is None:
        return (name, "-", f"{score.matched:,}", *passed, refused, "-", "-", "")
    money = (show.limit(policy.limit, policy.unit), show.amount(score.spent, policy.unit))
    peak = (show.amount(score.peak, policy.unit), show.named(dict(score.peak_scope)) or "all")
    return (name, money[0], f"{score.matched:,}", *passed, refused, money[1], *peak)
