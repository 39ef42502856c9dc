"""A look at the Redis behind the ledger: is it one that can be trusted with money?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from weighbridge.adapters.cli.finding import Finding
from weighbridge.core.errors import ConfigError, StoreError
from weighbridge.ledger.redis import RedisStore
from weighbridge.settings import Settings

OLDEST: Final = (6, 2)
Info = Mapping[str, Any]


def examine(settings: Settings) -> Iterator[Finding]:
    """What the server says of itself.  It must be running: the store is open meanwhile."""
    url = _url(settings)
    if url is None:
        yield Finding(
            "redis", "note", "none: memory:// forgets everything at the end, and one process sees it", "use embedded:"
        )
        return
    store = RedisStore(url, deadline=settings.store_timeout_seconds)
    try:
        told = store.servers()
    except StoreError as error:
        yield Finding("redis", "note", f"does not tell about itself ({error})", "allow the command INFO")
        return
    finally:
        store.close()
    for place, text in told.items():
        info = _read(text)
        server = "redis" if len(told) == 1 else f"redis {place}"
        version, memory = info.get("redis_version", "unknown version"), info.get("used_memory_human")
        yield Finding(server, "ok", f"{version}, {memory} used")
        yield from (finding for fault in FAULTS if (finding := fault(info)) is not None)


def _read(text: bytes) -> Info:
    """INFO's lines, numbers as such."""
    pairs = (line.split(":", 1) for line in text.decode(errors="replace").splitlines() if ":" in line)
    return {name: int(value) if value.isdigit() else value for name, value in pairs}


def embedded_server(settings: Settings) -> Iterator[Finding]:
    """The server that `embedded:` would start."""
    from weighbridge.ledger.embedded import server_binary

    try:
        yield Finding("embedded server", "ok", server_binary())
    except ConfigError as error:
        needed = settings.store.startswith("embedded:")
        yield Finding(
            "embedded server", "wrong" if needed else "note", str(error), "pip install 'weighbridge[embedded]'"
        )


def _url(settings: Settings) -> str | None:
    scheme, _, path = settings.store.partition(":")
    if scheme == "memory":
        return None
    if scheme != "embedded":
        return settings.store
    from weighbridge.ledger.embedded import socket_path

    place = Path(path) if path else settings.data_dir
    return f"unix://{quote(str(socket_path(place.expanduser().absolute())))}"


def _old(info: Info) -> Finding | None:
    version = tuple(int(part) for part in str(info.get("redis_version", "0")).split(".")[:2] if part.isdigit())
    if version >= OLDEST:
        return None
    return Finding("redis version", "wrong", f"{info.get('redis_version')} is too old", "run Redis 6.2 or newer")


def _evicts(info: Info) -> Finding | None:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return None
    bounded = bool(info.get("maxmemory"))
    detail = f"{policy}: when memory is full, holds and what was spent would be thrown away"
    return Finding("redis memory", "wrong" if bounded else "note", detail, "CONFIG SET maxmemory-policy noeviction")


def _forgets(info: Info) -> Finding | None:
    if info.get("aof_enabled"):
        return None
    return Finding(
        "redis persistence", "note", "appendonly is off: a crash loses the last minutes", "CONFIG SET appendonly yes"
    )


def _follows(info: Info) -> Finding | None:
    if info.get("role") != "slave":
        return None
    return Finding(
        "redis role", "wrong", "a replica, which takes no writes", "name the primary, or its sentinels, with --store"
    )


FAULTS: Final[tuple[Callable[[Info], Finding | None], ...]] = (_old, _follows, _evicts, _forgets)
