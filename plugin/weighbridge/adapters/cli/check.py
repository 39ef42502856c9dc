"""`weighbridge check`: the decision the gate would take."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, BinaryIO

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.session import raw_call, settings
from weighbridge.core import keys, reply
from weighbridge.core.errors import Refused
from weighbridge.core.model import Principal, RawCall
from weighbridge.core.shelves import Fetch
from weighbridge.guard import Guard
from weighbridge.ledger import Store

IDENTITY = ("org", "team", "user", "key")


@click.command("check")
@options.body_file
@options.dialect
@options.model
@click.option("--team", metavar="T", help="Whose call it is.")
@click.option("--org", metavar="O", help="The team's organisation.")
@click.option("--user", metavar="U", help="Who in the team.")
@click.option("--key", metavar="ALIAS", help="A virtual key's alias or id; its identity is taken where not given here.")
@options.tags
@options.as_json
@options.common
def command(
    file: BinaryIO,
    dialect: str | None,
    model: str | None,
    tags: Mapping[str, str],
    as_json: bool,
    **who: str | None,
) -> None:
    """Say what the gate would decide on a request body, holding and sending nothing.  Exit status 1: refused."""
    raw = raw_call(file, dialect, model, Principal())
    guard = wiring.guard(settings())
    with closing(guard.store) as store:
        principal = _principal(store, who, tags)
        verdict = _verdict(guard, RawCall(raw.dialect, raw.body, principal, model=raw.model))
    if as_json:
        show.document(verdict)
    else:
        _tell(verdict)
    click.get_current_context().exit(1 if verdict["decision"] == "refuse" else 0)


def _principal(store: Store, who: Mapping[str, str | None], tags: Mapping[str, str]) -> Principal:
    """The identity given; under it, that of the key where the store knows it."""
    given = {field: who[field] for field in IDENTITY if who[field]}
    documents = store.run(Fetch("keys")).values() if who["key"] else ()
    document = next((d for d in documents if who["key"] in (d["alias"], d["id"])), None)
    if document is None:
        return Principal(**given, tags=tags)
    known = keys.principal(document)
    own = {field: given.get(field) or getattr(known, field) for field in IDENTITY}
    return Principal(**{**own, "key": known.key}, tags={**tags, **known.tags})


def _verdict(guard: Guard, raw: RawCall) -> dict[str, Any]:
    try:
        return reply.verdict_admitted(guard.check(raw))
    except Refused as error:
        return reply.verdict_refused(error, None if error.reason == "malformed" else guard.weigh(raw).estimate)


def _tell(verdict: Mapping[str, Any]) -> None:
    estimate, fit = verdict["estimate"], verdict["would_fit"]
    if verdict["decision"] == "refuse":
        show.line(f"refused: {verdict['reason']}", "bold red")
        show.line(verdict["message"])
    else:
        show.line("clamped" if verdict["decision"] == "clamp" else "admitted", "bold green")
        lowered = f" with max_tokens {fit['max_tokens']:,}" if fit else ""
        show.line(f"It would hold {show.dollars(verdict['nano_usd'])}{lowered}.")
    if estimate:
        show.line(f"{estimate['tokens']:,} prompt tokens, at most {estimate['upper']:,} ({estimate['method']})", "dim")
    for name in verdict["shadow"]:
        show.line(f"Policy '{name}' is in shadow mode and would have refused.", "yellow")
    if verdict["scopes"]:
        show.line()
        show.table(
            ("policy", "scope", ">limit", ">spent", ">held", ">this call", "resets"), map(_row, verdict["scopes"])
        )


def _row(scope: Mapping[str, Any]) -> tuple[str, ...]:
    unit = scope["unit"]
    limit = "(shadow)" if scope["limit"] is None else show.limit(scope["limit"], unit)
    figures = (show.amount(scope[name], unit) for name in ("spent", "held", "requested"))
    resets = (scope["resets_at"] or "never").replace("T", " ")
    return (scope["policy"], show.named(scope["scope"]) or "all", limit, *figures, resets)
