"""`weighbridge budget`: what is spent, held and left; and credits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from weighbridge import wiring
from weighbridge.adapters.cli import credit as crediting
from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.named import unknown
from weighbridge.adapters.cli.session import ledger
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.ledger import Counter, Counters, State
from weighbridge.core.policy import credit, shelf
from weighbridge.core.policy.budget import resets_at, scoped
from weighbridge.core.policy.model import Credits, Policy
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
        found = reports(store)
    if as_json:
        return show.document(found)
    if not found:
        return show.line("No policy limits an amount yet.  Apply some: weighbridge policy apply -f policies.yaml")
    tell(found)


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
        report = report_on(store, known[name], credit.read(store.run(Fetch("credits"))))
    if as_json:
        return show.document(report)
    tell([report])


command.add_command(crediting.command)


def limits(store: Store) -> list[Policy]:
    """The policies that limit an amount."""
    policies, _ = shelf.read(store.run(Fetch("policies")))
    return [policy for policy in policies if policy.unit is not None]


def reports(store: Store) -> list[Report]:
    """All budgets."""
    credits = credit.read(store.run(Fetch("credits")))
    return [report_on(store, policy, credits) for policy in limits(store)]


def report_on(store: Store, policy: Policy, credits: Credits) -> Report:
    """A policy's counters in the windows that are open now; a rolling window's buckets are one."""
    now = wiring.clock()
    credited = [(counter, State(0, 0)) for counter in credit.counters(policy.name, credits)]
    states: dict[tuple[tuple[str, str], ...], State] = {}
    windows = {(c.start, c.end, c.span) for c in scoped(policy, (), now).buckets()}
    for counter, state in (*store.run(Counters(policy.name)), *credited):
        if _written(counter, policy) and (counter.start, counter.end, counter.span) in windows:
            known = states.get(counter.scope, State(0, 0))
            states[counter.scope] = State(known.spent + state.spent, known.held + state.held)
    return {
        "policy": policy.name,
        "mode": policy.mode,
        "unit": policy.unit,
        "limit": policy.limit,
        "counters": [_counter(policy, scope, states[scope], credits, now) for scope in sorted(states)],
    }


def _written(counter: Counter, policy: Policy) -> bool:
    """Whether the counter is of the policy as it is written now."""
    names = tuple(name for name, _ in counter.scope)
    return (counter.unit, counter.window, names) == (policy.unit, policy.window.text, policy.per)


def _counter(policy: Policy, scope: tuple[tuple[str, str], ...], state: State, credits: Credits, now: int) -> Report:
    counter = scoped(policy, scope, now)
    limit, resets = credit.limit(policy, counter, credits), resets_at(counter, now)
    if counter.span:  # for people: a rolling window moves on while they read
        now, resets = now - now % 1000, now + counter.span - now % 1000
    start = now - counter.span if counter.span else counter.start
    return {
        "scope": dict(scope),
        "window_start": rfc3339(start) if resets else None,
        "resets_at": rfc3339(resets) if resets else None,
        "limit": limit,
        "spent": state.spent,
        "held": state.held,
        "remaining": max(0, limit - state.spent - state.held),
    }


def tell(reports: Iterable[Report]) -> None:
    """Reports as a table, a row a counter."""
    columns = ("policy", "scope", ">limit", ">spent", ">held", ">left", "resets")
    show.table(columns, (row for report in reports for row in _rows(report)))


def _rows(report: Report) -> Iterable[tuple[str, ...]]:
    name = report["policy"] + (" (shadow)" if report["mode"] == "shadow" else "")
    if not report["counters"]:
        yield (name, "(no traffic yet)", show.limit(report["limit"], report["unit"]), "-", "-", "-", "-")
    for counter in report["counters"]:
        limit = show.limit(counter["limit"], report["unit"])
        yield (name, show.named(counter["scope"]) or "all", limit, *_figures(counter, report["unit"]))


def _figures(counter: Mapping[str, Any], unit: str) -> tuple[str, ...]:
    figures = (show.amount(counter[field], unit) for field in ("spent", "held", "remaining"))
    return (*figures, (counter["resets_at"] or "never").replace("T", " "))
