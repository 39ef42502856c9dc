"""`weighbridge policy`: limits and rules, edited as a file and applied to the store."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TextIO

import click
import yaml
from rich.text import Text

from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.named import unknown
from weighbridge.adapters.cli.session import ledger
from weighbridge.core.errors import ConfigError
from weighbridge.core.policy import parse, shelf
from weighbridge.core.policy.model import Policy
from weighbridge.core.shelves import Fetch, Put
from weighbridge.ledger import Store
from weighbridge.settings import read_policies
from weighbridge.settings.source import parse as read_tree

Document = Mapping[str, Any]
Fate = Literal["created", "configured", "unchanged"]
STYLES: Mapping[str, str] = {"created": "green", "configured": "yellow", "unchanged": "dim"}
DIFF_STYLES: Mapping[str, str] = {"+": "green", "-": "red", "@": "dim"}

file_option = click.option(
    "-f",
    "--file",
    "file",
    type=click.File("r", encoding="utf-8"),
    required=True,
    metavar="F",
    help="Policies as YAML; - is standard input.",
)


@dataclass(frozen=True, slots=True)
class Change:
    """A document of the file beside the one in force."""

    name: str
    old: Document | None
    new: Document

    @property
    def fate(self) -> Fate:
        """What applying the file does to it."""
        if self.old is None:
            return "created"
        return "unchanged" if self.old == self.new else "configured"

    @property
    def restarts(self) -> str:
        """A warning where the change begins to count anew; "" where it does not."""
        if self.old is None or self.name == shelf.DEFAULTS:
            return ""
        try:
            old = _counted(parse.policy(self.old))
        except ConfigError:  # what nobody can read any more has not counted either
            return ""
        new = _counted(parse.policy(self.new))
        moved = [f"{name} {old[name]} -> {new[name]}" for name in old if old[name] != new[name]]
        if not moved or old["unit"] == "nothing":
            return ""
        kept = "what was spent is kept under the old terms, and holds again if they return"
        return f"counts from zero ({'; '.join(moved)}); {kept}"

    @property
    def label(self) -> str:
        """The name people know it by."""
        return "defaults" if self.name == shelf.DEFAULTS else self.name


@click.group("policy")
def command() -> None:
    """Limits and rules: edited as a file, applied to the store, in force within a second."""


@command.command()
@file_option
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@options.as_json
@options.common
def apply(file: TextIO, dry_run: bool, as_json: bool) -> None:
    """Create and change policies as the file says.  What is not in the file stays as it is."""
    wanted = _read(file)
    with ledger() as store:
        changes = _changes(wanted, store)
        changed = {change.name: change.new for change in changes if change.fate != "unchanged"}
        if changed and not dry_run:
            store.run(Put("policies", changed))
    if as_json:
        return show.document([_told(change) for change in changes])
    ending = " (dry run)" if dry_run else ""
    show.table(("", ""), [(change.label, Text(change.fate + ending, STYLES[change.fate])) for change in changes])
    for change in changes:
        if change.restarts:
            show.line(f"{change.label}: {change.restarts}", "yellow")


@command.command()
@file_option
@options.common
@click.pass_context
def diff(ctx: click.Context, file: TextIO) -> None:
    """Show what applying the file would change.  Exit status 1: something."""
    wanted = _read(file)
    with ledger() as store:
        changes = [change for change in _changes(wanted, store) if change.fate != "unchanged"]
    for change in changes:
        for line in _unified(change):
            show.line(line, DIFF_STYLES.get(line[0], ""))
    ctx.exit(1 if changes else 0)


@command.command("list")
@options.as_json
@options.common
def list_policies(as_json: bool) -> None:
    """All policies in force."""
    with ledger() as store:
        documents = store.run(Fetch("policies"))
    policies, _ = shelf.read(documents)
    if as_json:
        return show.document([parse.document(policy) for policy in policies])
    if not policies:
        return show.line("There is no policy yet.  Apply some: weighbridge policy apply -f policies.yaml")
    show.table(("name", "match", "allows", "window", "per", "mode"), [_row(policy) for policy in policies])


@command.command("show")
@click.argument("name")
@options.as_json
@options.common
def show_policy(name: str, as_json: bool) -> None:
    """One policy as the file would have it; `defaults` for the defaults."""
    with ledger() as store:
        documents = store.run(Fetch("policies"))
    found = documents.get(shelf.DEFAULTS if name == "defaults" else name)
    if found is None:
        raise unknown("policy", name, _names(documents))
    if as_json:
        return show.document(found)
    show.line(_yaml(found).rstrip())


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.common
def delete(names: tuple[str, ...]) -> None:
    """Take policies out of force.  What their budgets have spent is kept, and holds again if they return."""
    with ledger() as store:
        known = _names(store.run(Fetch("policies")))
        for name in names:
            if name not in known:
                raise unknown("policy", name, known)
        store.run(Put("policies", {}, drop=names))
    for name in names:
        show.line(f"{name}  deleted", "red")


def _counted(policy: Policy) -> dict[str, str]:
    """What makes a policy's counters the same or others; the limit is no part of it."""
    return {
        "unit": policy.unit or "nothing",
        "window": policy.window.text or "none",
        "timezone": policy.window.timezone,
        "per": ", ".join(policy.per) or "nothing",
    }


def _told(change: Change) -> dict[str, str]:
    told = {"name": change.label, "result": change.fate}
    return {**told, "warning": change.restarts} if change.restarts else told


def _read(file: TextIO) -> dict[str, Document]:
    """The file's documents, as the shelf keeps them.  Raises ConfigError with file and line."""
    written = file.read()
    policies, defaults = read_policies(written, file.name)
    documents = shelf.write(policies, defaults)
    if "defaults" not in read_tree(written, file.name).data:
        # A file that is silent about the defaults does not reset them.
        del documents[shelf.DEFAULTS]
    return dict(documents)


def _changes(wanted: Mapping[str, Document], store: Store) -> list[Change]:
    stands = store.run(Fetch("policies"))
    return [Change(name, stands.get(name), document) for name, document in wanted.items()]


def _names(documents: Mapping[str, Any]) -> list[str]:
    return sorted(documents.keys() - {shelf.DEFAULTS})


def _yaml(document: Document) -> str:
    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, default_flow_style=None, width=100))


def _unified(change: Change) -> Iterable[str]:
    old = [] if change.old is None else _yaml(change.old).splitlines()
    return difflib.unified_diff(
        old, _yaml(change.new).splitlines(), f"{change.label} (in force)", f"{change.label} (file)", lineterm=""
    )


def _row(policy: Policy) -> tuple[str, ...]:
    return (
        policy.name,
        ", ".join(f"{field} {glob}" for field, glob in policy.match.items()) or "every call",
        "; ".join(_allows(policy)),
        policy.window.text or "-" if policy.unit else "-",
        ", ".join(policy.per) or "-",
        policy.mode,
    )


def _allows(policy: Policy) -> Iterable[str]:
    if policy.unit is not None:
        yield show.limit(policy.limit, policy.unit)
    if policy.context is not None:
        yield f"prompts up to {policy.context.max_input_tokens:,} tokens"
    if policy.models is not None and policy.models.allow:
        yield "models " + ", ".join(policy.models.allow)
    if policy.models is not None and policy.models.deny:
        yield "not models " + ", ".join(policy.models.deny)
