"""What a migration has made so far: policies as documents, and what could not be said in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from weighbridge.core.migration.durations import Span
from weighbridge.core.policy import parse
from weighbridge.core.policy.reading import PolicyError

UNNAMED: Final = re.compile(r"[,;=\s]+|[^ -~]")
"""What a policy's name does not hold, or should not."""
LONGEST: Final = 160
DECIMALS: Final = 9
"""Of a dollar: money is counted in nano-dollars."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about."""

    where: str
    """The setting, as the other side names it."""
    what: str
    unequal: bool = True
    """False: it is written, and this is how."""


@dataclass(slots=True)
class Draft:
    """Policies, in the order they were made, and notes."""

    policies: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    """Command lines that make the keys the policies name."""
    _names: set[str] = field(default_factory=set)

    def note(self, where: str, what: str, *, unequal: bool = True) -> None:
        """Say something, once."""
        said = Note(where, what, unequal)
        if said not in self.notes:
            self.notes.append(said)

    def limit(
        self, where: str, match: Mapping[str, str], unit: str, amount: Any, span: Span | None, **more: Any
    ) -> None:
        """A policy that limits an amount; `span` is None for calls at one time."""
        limit = {unit: countable(unit, amount)}
        document: dict[str, Any] = {"name": self._name(where, unit), **_matching(match), "limit": limit}
        if span is not None:
            document |= span.document()
            if span.note:
                self.note(where, span.note)
        self._add(where, {**document, **more})

    def models(self, where: str, match: Mapping[str, str], **lists: list[str]) -> None:
        """A policy that says which models may be asked for."""
        self._add(where, {"name": self._name(where, "models"), **_matching(match), "models": lists})

    def context(self, where: str, match: Mapping[str, str], most: int, other: str) -> None:
        """A policy that sends what is too long to another model."""
        rule = {"max_input_tokens": most, "on_exceed": f"reroute {other}"}
        self._add(where, {"name": self._name(where, "context"), **_matching(match), "context": rule})

    def _add(self, where: str, document: dict[str, Any]) -> None:
        try:
            parse.policy(document)
        except PolicyError as error:
            self.note(where, f"not written: {error}")
            return
        self._names.add(document["name"])
        self.policies.append(document)

    def _name(self, where: str, what: str) -> str:
        plain = UNNAMED.sub("-", f"{where} {what}").strip("-")[:LONGEST]
        name, number = plain, 2
        while name in self._names:
            name, number = f"{plain}-{number}", number + 1
        return name


def number(value: Any) -> int | float | None:
    """A number as settings have it, in text too; None for what is none."""
    if isinstance(value, str):
        try:
            value = int(value) if value.strip().isdecimal() else float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return value


def countable(unit: str, amount: Any) -> Any:
    """An amount as a policy counts it: dollars to their ninth decimal, of which something stays something, and
    the rest whole.  What is none is left as it is, to be told."""
    known = number(amount)
    if known is None or known <= 0:
        return amount
    if unit == "usd":
        return known if isinstance(known, int) else max(round(known, DECIMALS), 10**-DECIMALS)
    return int(known) if known == int(known) else known


def exactly(value: str) -> str:
    """A shell glob that fits this text and no other."""
    return re.sub(r"([*?[])", r"[\1]", value)


def _matching(match: Mapping[str, str]) -> dict[str, Any]:
    return {"match": dict(match)} if match else {}
