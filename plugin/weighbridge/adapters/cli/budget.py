"""`weighbridge budget`: what is spent, held and left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.named import unknown
from weighbridge.adapters.cli.session import ledger
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.ledger import Counter, Counters, State
from weighbridge.core.policy import shelf
from weighbridge.core.policy.model import Policy
from weighbridge.core.shelves import Fetch
from weighbridge.ledger import Store

Report = dict[str, Any]


@click.group("budget")
def command() -> None:
    """What is spent, held and left of every policy's limit."""


@command.command("list")
@options.as_json
@options.common
def list_budgets(as_json: bool) -> None:
    """All budgets."""
    with ledger() as store:
        reports = [report_on(store, policy) for policy in limits(store)]
    if as_json:
        return show.document(reports)
    if not reports:
        return show.line("No policy limits an amount yet.  Apply some: weighbridge policy apply -f policies.yaml")
    tell(reports)


@command.command("show")
@click.argument("name")
@options.as_json
@options.common
def show_budget(name: str, as_json: bool) -> None:
    """One budget, counter by counter."""
    with ledger() as store:
        known = {policy.name: policy for policy in limits(store)}
        if name not in known:
            raise unknown("budget", name, known)
        report = report_on(store, known[name])
    if as_json:
        return show.document(report)
    tell([report])


def limits(store: Store) -> list[Policy]:
    """The policies that limit an amount."""
    policies, _ = shelf.read(store.run(Fetch("policies")))
    return [policy for policy in policies if policy.unit is not None]


def report_on(store: Store, policy: Policy) -> Report:
    """A policy's counters in the windows that are open now."""
    now = wiring.clock()
    kept = store.run(Counters(policy.name))
    open_now = [(c, state) for c, state in kept if _current(c, policy, now)]
    return {
        "policy": policy.name,
        "mode": policy.mode,
        "unit": policy.unit,
        "limit": policy.limit,
        "counters": [_counter(c, state, policy) for c, state in sorted(open_now, key=lambda pair: pair[0].scope)],
    }


def _current(counter: Counter, policy: Policy, now: int) -> bool:
    """Whether the counter is of the policy as it is written now, in a window that contains `now`."""
    written = (counter.unit, counter.window, tuple(name for name, _ in counter.scope))
    return written == (policy.unit, policy.window.text, policy.per) and (
        not counter.end or counter.start <= now < counter.end
    )


def _counter(counter: Counter, state: State, policy: Policy) -> Report:
    return {
        "scope": dict(counter.scope),
        "window_start": rfc3339(counter.start) if counter.end else None,
        "resets_at": rfc3339(counter.end) if counter.end else None,
        "limit": policy.limit,
        "spent": state.spent,
        "held": state.held,
        "remaining": max(0, policy.limit - state.spent - state.held),
    }


def tell(reports: Iterable[Report]) -> None:
    """Reports as a table, a row a counter."""
    columns = ("policy", "scope", ">limit", ">spent", ">held", ">left", "resets")
    show.table(columns, (row for report in reports for row in _rows(report)))


def _rows(report: Report) -> Iterable[tuple[str, ...]]:
    name = report["policy"] + (" (shadow)" if report["mode"] == "shadow" else "")
    limit = show.limit(report["limit"], report["unit"])
    if not report["counters"]:
        yield (name, "(no traffic yet)", limit, "-", "-", "-", "-")
    for counter in report["counters"]:
        yield (name, show.named(counter["scope"]) or "all", limit, *_figures(counter, report["unit"]))


def _figures(counter: Mapping[str, Any], unit: str) -> tuple[str, ...]:
    figures = (show.amount(counter[field], unit) for field in ("spent", "held", "remaining"))
    return (*figures, (counter["resets_at"] or "never").replace("T", " "))
