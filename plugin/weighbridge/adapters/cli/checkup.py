"""The check-ups of `weighbridge doctor`: each looks at one thing and tells what it found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

from weighbridge import modeltable, tokenizers, wiring
from weighbridge.adapters.cli import redisserver
from weighbridge.adapters.cli.finding import Finding
from weighbridge.core.errors import WeighbridgeError
from weighbridge.core.ledger import OpenHolds
from weighbridge.core.policy import shelf
from weighbridge.core.shelves import Fetch, Version
from weighbridge.ledger import Store
from weighbridge.ledger.spool import TORN, left_behind
from weighbridge.settings import Settings

VOCABULARIES = ("o200k_base", "cl100k_base")
EXTRAS = {"gateway": ("uvicorn", "aiohttp", "starlette"), "demo": ("openai", "anthropic", "google.genai")}
STALE_DAYS = 180
"""A table of models older than this lacks new models and prices."""


def program(settings: Settings) -> Iterator[Finding]:
    """What is installed."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("weighbridge", "ok", f"{version('weighbridge') if _installed() else 'source'}, Python {python}")
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if not _present(module)]
        if missing:
            yield Finding(extra, "note", f"{', '.join(missing)} not installed", f"pip install 'weighbridge[{extra}]'")


def configuration(settings: Settings) -> Iterator[Finding]:
    """Where it listens, whom it lets in, what the loader noticed."""
    workers = f"{settings.workers} worker" + ("s" if settings.workers > 1 else "")
    yield Finding("listen", "ok", f"{settings.listen}, auth: {settings.auth}, {workers}")
    for note in settings.notes:
        text, _, fix = note.partition("; ")
        yield Finding("settings", "note", text, fix)


def providers(settings: Settings) -> Iterator[Finding]:
    """Whom calls can go to."""
    if not settings.providers:
        yield Finding(
            "providers", "note", "none is configured: a gateway has nowhere to send a call",
            "export OPENAI_API_KEY=... (or ANTHROPIC_API_KEY, GEMINI_API_KEY), or add one under `providers:`",
        )  # fmt: skip
    for name, provider in settings.providers.items():
        key = "with a key" if provider.api_key is not None else "without a key"
        yield Finding(f"provider {name}", "ok", f"{provider.base_url}, {key}")


def store(settings: Settings) -> Iterator[Finding]:
    """Does the ledger answer, and what is in it."""
    opened = None
    try:
        began = perf_counter()
        opened = wiring.store(settings)
        opened.run(Version("policies"))
        yield Finding("store", "ok", f"{settings.store_shown} opened in {_ms(began)}")
        yield from redisserver.examine(settings)
        yield from _contents(opened)
    except WeighbridgeError as error:
        fix = "start it, or name another with --store or WEIGHBRIDGE_STORE (memory:// needs nothing)"
        yield Finding("store", "wrong", f"{settings.store_shown}: {error}", fix)
    finally:
        if opened is not None:
            opened.close()


def _contents(opened: Store) -> Iterator[Finding]:
    began = perf_counter()
    holds = opened.run(OpenHolds())
    yield Finding("ledger", "ok", f"answers in {_ms(began)}, {len(holds)} open holds")
    rules, _ = shelf.read(opened.run(Fetch("policies")))
    if rules:
        yield Finding("policies", "ok", f"{len(rules)} in force")
    else:
        fix = "weighbridge policy apply -f policies.yaml"
        yield Finding("policies", "note", "none: only the models' own windows are checked", fix)
    keys = opened.run(Fetch("keys"))
    if keys:
        yield Finding("keys", "ok", f"{len(keys)} issued")
    else:
        fix = "weighbridge key create --team TEAM"
        yield Finding("keys", "note", "none: only this machine is served, and calls have no team", fix)


def unsettled(settings: Settings) -> Iterator[Finding]:
    """Calls that the store does not know the end of."""
    directory = wiring.spool_directory(settings)
    if directory is None:
        return
    try:
        files = list(left_behind(directory))
        aside = sorted(directory.glob(f"*{TORN}"))
    except OSError as error:
        yield Finding("unsettled", "wrong", f"{directory} cannot be read: {error}", "let weighbridge write to data_dir")
        return
    left = sum(len(found.unsettled) for _, running, found in files if not running)
    owed = sum(found.owed for _, running, found in files if running)
    still = sum(len(found.unsettled) for _, running, found in files if running) - owed
    yield Finding("unsettled", "ok", f"calls running: {still}")
    if owed:
        fix = "they are settled when the store answers: see `store` above"
        yield Finding("unsettled", "note", f"{owed} calls ended, and the store did not take their settlement", fix)
    if left:
        fix = f"they are settled when a gateway starts; until then they are in {directory}"
        yield Finding("unsettled", "note", f"{left} calls were left by a process that ended", fix)
    for file in aside:
        fix = "hold it against the provider's bill, then delete it"
        yield Finding("unsettled", "wrong", f"{file} holds settlements that could not be read or made", fix)


def models(settings: Settings) -> Iterator[Finding]:
    """The table of models and prices."""
    try:
        table = modeltable.rows()
    except WeighbridgeError as error:
        yield Finding("models", "wrong", str(error), modeltable.FIX)
        return
    dated = _table_date()
    age = (datetime.now(UTC) - dated).days if dated else 0
    detail = f"{len(table):,} rows" + (f", installed {dated:%Y-%m-%d}" if dated else "")
    own = f", {len(settings.models)} of your own" if settings.models else ""
    if age > STALE_DAYS:
        yield Finding("models", "note", detail + own, "pip install -U litellm")
    else:
        yield Finding("models", "ok", detail + own)


def vocabularies(settings: Settings) -> Iterator[Finding]:
    """Can texts be counted, offline."""
    for name in VOCABULARIES:
        try:
            tokenizers.load(name).count("weighbridge")
        except WeighbridgeError as error:
            yield Finding(f"vocabulary {name}", "wrong", str(error), "pip install --force-reinstall litellm")
        else:
            yield Finding(f"vocabulary {name}", "ok", "loaded")


CHECKUPS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    program,
    configuration,
    providers,
    redisserver.embedded_server,
    store,
    unsettled,
    models,
    vocabularies,
)


def _ms(began: float) -> str:
    return f"{(perf_counter() - began) * 1000:.1f} ms"


def _installed() -> bool:
    try:
        return bool(version("weighbridge"))
    except PackageNotFoundError:
        return False


def _present(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _table_date() -> datetime | None:
    """When litellm's table came to this machine."""
    spec = find_spec("litellm")
    folders = (spec.submodule_search_locations if spec else None) or []
    files = (Path(folder, modeltable.FILE) for folder in folders)
    return next((datetime.fromtimestamp(f.stat().st_mtime, UTC) for f in files if f.is_file()), None)
