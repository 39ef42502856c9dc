"""`weighbridge key`: virtual keys."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show, spans
from weighbridge.adapters.cli.session import ledger
from weighbridge.core import keys
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.errors import ConfigError
from weighbridge.core.shelves import Fetch, Put

Documents = Mapping[str, Any]
SECRET_BYTES = 32
ID_BYTES = 6


@click.group("key")
def command() -> None:
    """Virtual keys: what clients send instead of a provider's key."""


@command.command()
@click.option("--team", metavar="T", required=True, help="The team that pays.")
@click.option("--org", metavar="O", help="The team's organisation.")
@click.option("--user", metavar="U", help="Who in the team.")
@click.option("--alias", metavar="A", help="What reports and policies call the key.")
@options.tags
@click.option("--expires", metavar="WHEN", help="90d, 12h, or a date.  [default: never]")
@options.as_json
@options.common
def create(alias: str | None, tags: Mapping[str, str], expires: str | None, as_json: bool, **who: Any) -> None:
    """Create a key.  It is shown once: the store keeps only its hash."""
    now = wiring.clock()
    secret = keys.PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    made = keys.new_document(
        id="key_" + secrets.token_hex(ID_BYTES),
        alias=alias,
        tags=tags,
        expires_at=None if expires is None else spans.after(expires, now),
        now=now,
        **who,
    )
    with ledger() as store:
        _free(alias, store.run(Fetch("keys")))
        store.run(Put("keys", {keys.digest(secret): made}))
    if as_json:
        fields = ("org", "team", "user", "tags")
        show.document(
            {"id": made["id"], "key": secret, **{f: made[f] for f in fields}, **_expiry(made), "alias": alias}
        )
        return
    show.line(secret, "bold")
    show.line(f"{_about(made)}.  It is shown here and never again.", "dim")


@command.command("list")
@options.as_json
@options.common
def list_keys(as_json: bool) -> None:
    """All keys, without their secrets."""
    with ledger() as store:
        documents = sorted(store.run(Fetch("keys")).values(), key=lambda d: (d["team"], d["created_at"], d["id"]))
    if as_json:
        return show.document([{**d, **_expiry(d), "created_at": rfc3339(d["created_at"])} for d in documents])
    if not documents:
        return show.line("There is no key yet.  Create one: weighbridge key create --team TEAM")
    now = wiring.clock()
    columns = ("id", "alias", "org", "team", "user", "tags", "created", "expires")
    show.table(columns, (_row(document, now) for document in documents))


@command.command()
@click.argument("key", metavar="ID")
@options.as_json
@options.common
def revoke(key: str, as_json: bool) -> None:
    """Revoke a key by its id or alias.  Gateways refuse it within a second."""
    with ledger() as store:
        documents = store.run(Fetch("keys"))
        found = [name for name, d in documents.items() if key in (d["id"], d["alias"])]
        if not found:
            raise ConfigError(f"there is no key {key!r}; `weighbridge key list` shows all")
        store.run(Put("keys", {}, drop=tuple(found)))
    document = documents[found[0]]
    if as_json:
        return show.document({"id": document["id"], "alias": document["alias"], "revoked": True})
    show.line(f"revoked {_about(document)}")


def _free(alias: str | None, documents: Documents) -> None:
    """Raises ConfigError for an alias that another key has, or that looks like an id."""
    if alias is None:
        return
    if any(alias in (d["alias"], d["id"]) for d in documents.values()):
        raise ConfigError(f"the alias {alias!r} is taken; choose another, or revoke it: weighbridge key revoke {alias}")
    if not alias.strip() or not alias.isprintable():
        raise ConfigError("the alias is empty or has unprintable characters; give e.g. --alias ci-bot")


def _expiry(document: Mapping[str, Any]) -> dict[str, str | None]:
    at = document["expires_at"]
    return {"expires_at": None if at is None else rfc3339(at)}


def _about(document: Mapping[str, Any]) -> str:
    alias = f" ({document['alias']})" if document["alias"] else ""
    expiry = f", expires {show.moment(document['expires_at'])}" if document["expires_at"] else ""
    return f"{document['id']}{alias}, team {document['team']}{expiry}"


def _row(document: Mapping[str, Any], now: int) -> tuple[str, ...]:
    tags = ", ".join(f"{name}={value}" for name, value in document["tags"].items())
    over = " (over)" if keys.expired(document, now) else ""
    texts = (document["id"], document["alias"], document["org"], document["team"], document["user"], tags)
    return (
        *(text or "-" for text in texts),
        show.moment(document["created_at"]),
        show.moment(document["expires_at"]) + over,
    )
