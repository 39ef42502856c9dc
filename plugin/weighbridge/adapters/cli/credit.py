"""`weighbridge budget credit`: more for one counter, for as long as its window lasts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.named import unknown
from weighbridge.adapters.cli.session import ledger
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.errors import ConfigError
from weighbridge.core.policy import credit, shelf
from weighbridge.core.policy.budget import resets_at, scoped
from weighbridge.core.policy.model import FIELDS, Policy
from weighbridge.core.policy.reading import LONGEST_TEXT, nano_usd, whole
from weighbridge.core.shelves import Fetch, Put

Scope = tuple[tuple[str, str], ...]


def scope_options(command: Any) -> Any:
    """Which of a policy's counters is meant."""
    for field in reversed(FIELDS):
        command = click.option(f"--{field}", metavar="NAME", help=f"The counter of this {field}.")(command)
    return command


@click.command("credit", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("amount")
@click.option("--why", metavar="TEXT", required=True, help="For the record.")
@scope_options
@options.tags
@options.as_json
@options.common
def command(name: str, amount: str, why: str, tags: Mapping[str, str], as_json: bool, **fields: str | None) -> None:
    """Raise one counter's limit by AMOUNT (dollars, tokens, requests) until its window ends.

    What is spent stays spent.  In force within a second."""
    given = {field: value for field, value in fields.items() if value is not None}
    given |= {f"tag.{tag}": value for tag, value in tags.items()}
    with ledger() as store:
        policies, _ = shelf.read(store.run(Fetch("policies")))
        known = {policy.name: policy for policy in policies if policy.unit is not None}
        if name not in known:
            raise unknown("budget", name, known)
        policy, now = known[name], wiring.clock()
        counter = scoped(policy, _scope(policy, given), now)
        document = credit.document(counter, _amount(policy, amount), _reason(why), now)
        standing = store.run(Fetch("credits"))
        gone = credit.over(standing, now)
        new = {f"{name}/{uuid.uuid4().hex}": document}
        store.run(Put("credits", new, drop=gone))
    kept = {id: given for id, given in standing.items() if id not in gone}
    limit, resets = credit.limit(policy, counter, credit.read({**kept, **new})), resets_at(counter, now)
    if as_json:
        return show.document(
            {
                "policy": name,
                "scope": dict(counter.scope),
                "unit": policy.unit,
                "amount": document["amount"],
                "why": document["why"],
                "limit": limit,
                "resets_at": None if resets is None else rfc3339(resets),
            }
        )
    who, unit = show.named(dict(counter.scope)) or "everyone", counter.unit
    allowed = f"{show.limit(limit, unit)} until {show.moment(resets, 'it is edited')}"
    show.line(f"{name}: {who} credited {show.limit(document['amount'], unit)}; the limit is {allowed}", "green")


def _amount(policy: Policy, written: str) -> int:
    """An amount above nothing, in the policy's unit.  Raises ConfigError."""
    if policy.unit == "calls":
        raise ConfigError(f"policy {policy.name!r} limits calls at once, which nobody spends: raise its limit instead")
    if written.startswith("-"):
        raise ConfigError(f"a credit is never taken back, so {written} is none: lower the limit of {policy.name!r}")
    amount = nano_usd(written, ("AMOUNT",)) if policy.unit == "nano_usd" else whole(written, ("AMOUNT",))
    if not amount:
        raise ConfigError("a credit of nothing changes nothing: give more than 0")
    return amount


def _reason(why: str) -> str:
    if 0 < len(why.strip()) <= LONGEST_TEXT:
        return why.strip()
    raise ConfigError(f'a credit needs a reason of 1 to {LONGEST_TEXT} characters: --why "a demo on Friday"')


def _scope(policy: Policy, given: Mapping[str, str]) -> Scope:
    """The scope of the counter that is meant.  Raises ConfigError."""
    for field in given.keys() - set(policy.per):
        counts = f"per {', '.join(policy.per)}" if policy.per else "everything together"
        raise ConfigError(f"policy {policy.name!r} counts {counts}: drop {_option(field)}")
    return tuple((field, _value(policy, field, given)) for field in policy.per)


def _value(policy: Policy, field: str, given: Mapping[str, str]) -> str:
    glob = policy.match.get(field, "*")
    value = given.get(field, glob)
    if field not in given and set(glob) & set("*?["):
        raise ConfigError(f"policy {policy.name!r} keeps a counter for each {field}: say which, {_option(field)}")
    # A model may be asked for by other names than the policy's.
    if field != "model" and not fnmatchcase(value, glob):
        raise ConfigError(f"policy {policy.name!r} is for {field} {glob!r}, which {value!r} is not")
    return value


def _option(field: str) -> str:
    return f"--tag {field.removeprefix('tag.')}=VALUE" if field.startswith("tag.") else f"--{field} NAME"
