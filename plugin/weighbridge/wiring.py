"""The composition root: settings become a store, a scale and a guard.  Nothing else joins the floors."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from weighbridge import documents, tokenizers
from weighbridge.core.admission import Weighed
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting.calibration import UNCALIBRATED, Calibration, read
from weighbridge.core.errors import ConfigError
from weighbridge.core.hosts import provider_at
from weighbridge.core.model import Call, RawCall
from weighbridge.core.policy import shelf
from weighbridge.core.shelves import Put
from weighbridge.corrector import Corrector
from weighbridge.counters import APIS, Account, Remote, When
from weighbridge.desk import Desk
from weighbridge.guard import AsyncGuard, Guard
from weighbridge.hooks import Hook, logging_hook
from weighbridge.ledger import AsyncStore, Store
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.open import open_async_store, open_store
from weighbridge.ledger.spool import Spool
from weighbridge.modeltable import rows
from weighbridge.scale import Scale
from weighbridge.settings import Provider, Settings, load_policies

VOCABULARY: Final = "o200k_base"


def clock() -> int:
    """This machine's time in milliseconds."""
    return time.time_ns() // 1_000_000


def scale(settings: Settings) -> Scale:
    """The scale: litellm's model table with the settings' own models laid over it.  Raises ConfigError
    for a tokenizer that is not where the settings say."""
    overrides = {name: model.model_dump(exclude_none=True) for name, model in settings.models.items()}
    for model in settings.models.values():
        if model.tokenizer is not None:
            tokenizers.load(model.tokenizer)
    catalogue = Catalogue(rows(), overrides)

    def provider_of(call: Call) -> str:
        provider = settings.provider_for(call.dialect, call.model)
        return provider.name if provider else ""

    return Scale(
        catalogue,
        tokenizers.load,
        provider_of,
        reader=documents.reader(),
        calibration=calibration(settings),
        hosts={p.name: provider_at(urlsplit(p.base_url).hostname or "") for p in settings.providers.values()},
    )


def calibration(settings: Settings) -> Calibration:
    """The calibration of the settings, an empty one where they name none."""
    file = settings.counting.calibration
    return UNCALIBRATED if file is None else read_calibration(file)


def read_calibration(file: Path) -> Calibration:
    """A document that `weighbridge calibrate` wrote.  Raises ConfigError with the file and what is wrong."""
    try:
        return read(json.loads(file.read_bytes()))
    except OSError as error:
        raise ConfigError(f"the calibration {file} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the calibration {file} is not JSON: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"the calibration {file}: {error}") from error


def warm() -> None:
    """Read the vocabulary that most models are counted with: half a second in which an event loop
    would answer nobody, and calls to the store would run into their deadline."""
    tokenizers.load(VOCABULARY).count("warm")


def store(settings: Settings) -> Store:
    """The store of the settings, with the policies file applied where it has none yet."""
    opened = open_store(
        settings.store,
        clock=clock,
        directory=settings.data_dir,
        timeout=settings.store_timeout_seconds,
        journal_entries=settings.journal_entries,
    )
    first = _first_policies(settings)
    if first is not None:
        opened.run(first)
    return opened


async def async_store(settings: Settings) -> AsyncStore:
    """The same, for event loops."""
    opened = await open_async_store(
        settings.store,
        clock=clock,
        directory=settings.data_dir,
        timeout=settings.store_timeout_seconds,
        journal_entries=settings.journal_entries,
    )
    first = _first_policies(settings)
    if first is not None:
        await opened.run(first)
    return opened


def remote(settings: Settings, when: When | None = None) -> Remote | None:
    """Who may be asked for a count, and when (None: as the settings say); None where nobody is asked."""
    when = when or settings.counting.remote
    if when == "never":
        return None
    accounts = [_account(settings, provider) for provider in settings.providers.values()]
    asked = [account for account in accounts if account is not None]
    return Remote(asked, clock, when=when, patience=settings.counting.timeout_seconds)


def _account(settings: Settings, provider: Provider) -> Account | None:
    """A provider's counter, where it has one and a key is set."""
    if provider.counter == "none" or provider.api_key is None:
        return None
    most = settings.counting.requests_per_minute.get(provider.name)
    share = None if most is None else max(1, most // settings.workers)
    key = provider.api_key.get_secret_value()
    return Account(provider.name, APIS[provider.counter], provider.base_url, key, share)


def desk(settings: Settings, hooks: Iterable[Hook] = ()) -> Desk:
    """The gate's flows."""
    lease_ms = settings.limits.lease_seconds * 1000
    told, kept = (logging_hook, *hooks), spool_directory(settings)
    spool = None if kept is None else Spool(kept)
    on, corrector = scale(settings), None
    if settings.counting.live != "off":
        corrector = Corrector(clock, teaches=settings.counting.live == "on")
        on = replace(on, lessons=corrector.line)
    asks = remote(settings)
    return Desk(on, clock, remote=asks, hooks=told, lease_ms=lease_ms, spool=spool, corrector=corrector)


def spool_directory(settings: Settings) -> Path | None:
    """Where calls this store has not settled are written down; None for a store that forgets them itself,
    and on Windows, which has no locks that end with their process."""
    if settings.store.startswith("memory:") or os.name == "nt":
        return None
    # What is owed to one store must not be paid to another.
    named = hashlib.sha256(settings.store_shown.encode()).hexdigest()[:16]
    return settings.data_dir / "spool" / named


def count(settings: Settings, raw: RawCall, when: When) -> Weighed:
    """A request weighed without a store.  Raises Refused for a body that cannot be read."""
    guard = Guard(Desk(scale(settings), clock, remote=remote(settings, when)), MemoryStore(clock))
    try:
        return guard.weigh(raw)
    finally:
        guard.shut()


def guard(settings: Settings, hooks: Iterable[Hook] = ()) -> Guard:
    """A guard for programs without an event loop."""
    return Guard(desk(settings, hooks), store(settings))


async def async_guard(settings: Settings, hooks: Iterable[Hook] = ()) -> AsyncGuard:
    """A guard for event loops."""
    return AsyncGuard(desk(settings, hooks), await async_store(settings))


def _first_policies(settings: Settings) -> Put | None:
    if settings.policies is None:
        return None
    policies, defaults = load_policies(settings.policies)
    return Put("policies", shelf.write(policies, defaults), only_if_empty=True)
