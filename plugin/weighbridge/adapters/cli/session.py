"""What a command works with: the settings of its options, the store, a request body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import click

from weighbridge import wiring
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.guess import guess
from weighbridge.core.errors import ConfigError
from weighbridge.core.model import Principal, RawCall
from weighbridge.ledger import Store
from weighbridge.settings import Settings, load


def settings(**overrides: Any) -> Settings:
    """The settings: `--config` and the environment, `--store` and `overrides` laid over them.

    An override that is None is "not given".  Raises ConfigError."""
    given = dict(click.get_current_context().find_root().ensure_object(dict))
    config = given.pop("config", None)
    return load(config, **given, **overrides)


@contextmanager
def ledger() -> Iterator[Store]:
    """The store, for as long as the command runs."""
    store = wiring.store(settings())
    try:
        yield store
    finally:
        store.close()


def raw_call(
    file: BinaryIO, dialect: str | None, model: str | None, principal: Principal, *, counts: bool = False
) -> RawCall:
    """A request body from a file or standard input.  Raises ConfigError where nobody can tell its dialect."""
    body = file.read()
    found = dialect or _guessed(body)
    if found not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise ConfigError(f"the dialect {found!r} is not read here; give one of {known} with --dialect")
    return RawCall(found, body, principal, model=model, counts=counts)


def _guessed(body: bytes) -> str:
    if not body.strip():
        raise ConfigError("the body is empty; give a request body as a file, or on standard input with `-`")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the body is not JSON ({error}); give the request body an SDK would send") from error
    found = guess(document) if isinstance(document, dict) else None
    if found is None:
        raise ConfigError(f"the body looks like no known wire format; give one of {', '.join(DIALECTS)} with --dialect")
    return found
