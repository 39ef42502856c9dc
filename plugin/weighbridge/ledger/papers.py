"""The codec of document verbs: shelves in Redis, beside the money.

PREFIX:{SHELF}:policies  PREFIX:{SHELF}:policies:version    documents by name; grows with every change
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.shelves import Fetch, Look, Put, Version
from weighbridge.ledger.commands import Command, Keys, Word, pairs
from weighbridge.ledger.journal import document_of, document_text


def _shelf(prefix: str, shelf: str) -> tuple[str, ...]:
    return Keys(prefix, shelf).of("policies", "policies:version")


def _fetch(verb: Fetch, prefix: str) -> Command:
    key, _ = _shelf(prefix, verb.shelf)
    return Command("", (key,), ("HGETALL", key))


def _look(verb: Look, prefix: str) -> Command:
    key, _ = _shelf(prefix, verb.shelf)
    return Command("", (key,), ("HGET", key, verb.name))


def _version(verb: Version, prefix: str) -> Command:
    _, key = _shelf(prefix, verb.shelf)
    return Command("", (key,), ("GET", key))


def _put(verb: Put, prefix: str) -> Command:
    args: list[Word] = ["1" if verb.only_if_empty else "", len(verb.documents)]
    for name, document in verb.documents.items():
        args += (name, document_text(document, f"{verb.shelf} {name!r}"))
    return Command("put", _shelf(prefix, verb.shelf), (*args, *verb.drop))


def _fetched(verb: Fetch, command: Command, reply: Any) -> dict[str, Any]:
    key = command.keys[0]
    named = ((name.decode(), text) for name, text in pairs(reply))
    return {name: document_of(text, f"{key} {name}") for name, text in sorted(named)}


def _looked(verb: Look, command: Command, reply: Any) -> Any:
    return None if reply is None else document_of(reply, f"{command.keys[0]} {verb.name}")


def _versioned(verb: Version, command: Command, reply: Any) -> int:
    if reply is None:
        return 0
    if not reply.isdigit():
        raise ValueError(f"{reply!r} is not a version")
    return int(reply)


ENCODERS: Mapping[type, Callable[[Any, str], Command]] = {Fetch: _fetch, Look: _look, Version: _version, Put: _put}
"""By verb: of the verb and the keys' prefix."""

DECODERS: Mapping[type, Callable[[Any, Command, Any], Any]] = {
    Fetch: _fetched,
    Look: _looked,
    Version: _versioned,
    Put: lambda verb, command, reply: int(reply),
}
