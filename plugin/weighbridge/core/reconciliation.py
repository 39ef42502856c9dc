"""The journal held against providers' exports: by day and model, what the one has and the other has not.

A day is compared where an export has days, or shorter spans; a line for several days is compared with
those days together.  The journal has a call on the day it was settled, a provider on the day it was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Final

from weighbridge.core.invoices import ALL, Invoice, Line, fold
from weighbridge.core.ledger import Entry

FIGURES: Final = ("requests", "input", "output", "cached", "nano_usd")
SELLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai",),
    "anthropic": ("anthropic",),
    "gemini": ("gemini", "google", "vertex*"),
}
"""Whose invoice -> the providers of the journal it is for."""
DIALECTS: Final = {"openai": "openai-*", "anthropic": "anthropic-*", "gemini": "gemini-*"}
"""The same for calls whose provider nobody named."""
Span = tuple[int, int]
Key = tuple[Span, str, str]
"""(span, whose invoice, folded model)."""


@dataclass(slots=True)
class Sum:
    """Figures added up; None where none was given."""

    figures: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(FIGURES))
    slack: int = 0
    estimated: int = 0
    """Calls of the journal whose provider did not say what was used."""
    names: set[str] = field(default_factory=set)
    """Models as they are named there."""

    def add(self, figures: Mapping[str, int | None], name: str, slack: int = 0, estimated: int = 0) -> None:
        """One more."""
        for figure, value in figures.items():
            if value is not None:
                self.figures[figure] = (self.figures[figure] or 0) + value
        self.slack += slack
        self.estimated += estimated
        self.names |= {name} if name else set()


@dataclass(frozen=True, slots=True)
class Match:
    """One day and model, as the provider and the journal have it."""

    span: Span
    zone: tzinfo
    provider: str
    model: str
    invoice: Sum
    journal: Sum

    def differences(self) -> dict[str, int]:
        """Figure -> invoice less journal, of those the invoice has."""
        return {
            figure: value - (self.journal.figures[figure] or 0)
            for figure, value in self.invoice.figures.items()
            if value is not None
        }

    def beyond(self, tolerance: Fraction) -> tuple[str, ...]:
        """The figures that differ by more than a share of the larger one (and than the provider's rounding)."""
        found = []
        for figure, difference in self.differences().items():
            most = max(abs(self.invoice.figures[figure] or 0), self.journal.figures[figure] or 0)
            slack = self.invoice.slack if figure == "nano_usd" else 0
            if abs(difference) > most * tolerance + slack:
                found.append(figure)
        return tuple(found)

    def days(self) -> str:
        """Its day, or its first and last one."""
        first, last = (datetime.fromtimestamp(at / 1000, self.zone).date() for at in (self.span[0], self.span[1] - 1))
        return first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"


class Reconciliation:
    """Invoices, and the journal beside them.  `aliases`: a model as one side names it -> as the other does."""

    def __init__(
        self, invoices: Sequence[Invoice], aliases: Mapping[str, str] = {}, sellers: Sequence[str] = ()
    ) -> None:
        self._aliases = {fold(name): fold(model) for name, model in aliases.items()}
        self._sellers = sellers
        self._zones = {invoice.format.provider: invoice.zone for invoice in invoices}
        self._covered = {
            provider: [(i.start, i.end) for i in invoices if i.format.provider == provider] for provider in self._zones
        }
        self._given = _given(invoices)
        self._invoiced: dict[Key, Sum] = {}
        self._kept: dict[Key, Sum] = {}
        self._spans: dict[str, set[Span]] = {provider: set() for provider in self._zones}
        for invoice in invoices:
            for line in invoice.lines:
                self._bill(invoice, line)
        self._unnamed = {key[:2] for key in self._invoiced if key[2] == ALL}
        self._named = {key[:2] for key in self._invoiced if not key[2].startswith("(")}

    def span(self) -> Span:
        """First millisecond any invoice is for and the first after; (0, 0) where none has a row."""
        spans = [span for spans in self._covered.values() for span in spans if span != (0, 0)]
        return (min(s for s, _ in spans), max(e for _, e in spans)) if spans else (0, 0)

    def settle(self, entries: Iterable[Entry]) -> None:
        """Add the journal's entries that the invoices are for."""
        for entry in entries:
            for provider in self._zones:
                if self._billed_by(provider, entry):
                    self._keep(provider, entry)

    def matches(self) -> list[Match]:
        """By day and model; where one side has nothing, its figures are 0."""
        found = []
        for key in sorted({*self._invoiced, *self._kept}, key=lambda key: (key[0], key[1], key[2])):
            span, provider, model = key
            invoiced = self._invoiced.get(key)
            if invoiced is None:
                invoiced = Sum(dict.fromkeys(FIGURES) | dict.fromkeys(self._given[provider], 0))
            kept = self._kept.get(key) or Sum(dict.fromkeys(FIGURES, 0))
            found.append(Match(span, self._zones[provider], provider, model, invoiced, kept))
        return found

    def _bill(self, invoice: Invoice, line: Line) -> None:
        provider = invoice.format.provider
        span = _day_of(line.start, line.end, self._zones[provider])
        self._spans[provider].add(span)
        model = line.model if line.model.startswith("(") else self._folded(line.model)
        figures = {figure: getattr(line, figure) for figure in FIGURES}
        self._invoiced.setdefault((span, provider, model), Sum()).add(figures, line.model, line.slack)

    def _billed_by(self, provider: str, entry: Entry) -> bool:
        if not any(start <= entry.at < end for start, end in self._covered[provider]):
            return False
        if self._sellers:
            return entry.provider in self._sellers
        if not entry.provider:
            return fnmatchcase(entry.dialect, DIALECTS[provider])
        return any(fnmatchcase(entry.provider, glob) for glob in SELLERS[provider])

    def _keep(self, provider: str, entry: Entry) -> None:
        figures = {figure: 1 if figure == "requests" else getattr(entry, figure) for figure in FIGURES}
        model = self._folded(entry.model)
        for span in self._spans_of(provider, entry.at):
            for name in self._names((span, provider), model):
                kept = self._kept.setdefault((span, provider, name), Sum())
                kept.add(figures, entry.model, 0, int(entry.ending != "reported"))

    def _names(self, where: tuple[Span, str], model: str) -> tuple[str, ...]:
        """Under which names a call is compared: an export may have its tokens by model and its costs in one sum."""
        if where not in self._unnamed:
            return (model,)
        return (ALL, model) if where in self._named else (ALL,)

    def _spans_of(self, provider: str, at: int) -> Iterator[Span]:
        day = _day(at, self._zones[provider])
        longer = [span for span in self._spans[provider] if span[0] <= at < span[1]]
        yield from longer or [day]

    def _folded(self, model: str) -> str:
        name = fold(model)
        return self._aliases.get(name, name)


def _given(invoices: Sequence[Invoice]) -> dict[str, set[str]]:
    """Which figures the invoices of each provider have at all."""
    given: dict[str, set[str]] = {}
    for invoice in invoices:
        known = given.setdefault(invoice.format.provider, set())
        known |= {figure for line in invoice.lines for figure in FIGURES if getattr(line, figure) is not None}
    return given


def _day_of(start: int, end: int, where: tzinfo) -> Span:
    """The day a span lies in, or the span itself where it is longer."""
    day = _day(start, where)
    return day if end <= day[1] else (start, end)


def _day(at: int, where: tzinfo) -> Span:
    date = datetime.fromtimestamp(at // 1000, where).date()
    first, past = (datetime.combine(d, datetime.min.time(), where) for d in (date, date + timedelta(days=1)))
    return round(first.astimezone(UTC).timestamp()) * 1000, round(past.astimezone(UTC).timestamp()) * 1000
