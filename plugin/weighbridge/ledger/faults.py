"""What a server's refusals and silences mean, in one table.

Everything that says "not now" is a StoreUnavailable, everything that says "this is not what the
ledger wrote" a StoreCorrupt: neither is ever an admission.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from redis import exceptions as redis_errors

from weighbridge.core.errors import StoreCorrupt, StoreError, StoreUnavailable

NOT_NOW: Mapping[str, str] = {
    "LOADING": "it is still loading its data",
    "READONLY": "it is a read-only replica: give the primary's address, or its sentinels' (redis+sentinel://)",
    "OOM": "its memory is full: raise maxmemory (the ledger needs maxmemory-policy noeviction)",
    "MISCONF": "it cannot save to disk: see its log",
    "BUSY": "it is busy running a script",
    "MASTERDOWN": "it has lost its primary",
    "NOREPLICAS": "too few replicas are in sync",
    "CLUSTERDOWN": "its cluster is down",
    "TRYAGAIN": "its slots are moving",
    "MOVED": "the slot is on another node (for a cluster write redis+cluster://)",
    "ASK": "the slot is on another node (for a cluster write redis+cluster://)",
    "NOAUTH": "it wants a password: put it into the URL",
    "WRONGPASS": "it refuses the user or password in the URL",
    "NOPERM": "the user in the URL may not run the ledger's commands",
    "NOSCRIPT": "it forgot a script just loaded",
}
"""A Redis error code -> why the store cannot answer."""

CODES: Mapping[type[BaseException], str] = {
    redis_errors.BusyLoadingError: "LOADING",
    redis_errors.ReadOnlyError: "READONLY",
    redis_errors.OutOfMemoryError: "OOM",
    redis_errors.NoScriptError: "NOSCRIPT",
    redis_errors.NoPermissionError: "NOPERM",
    redis_errors.AuthenticationError: "WRONGPASS",
    redis_errors.ClusterDownError: "CLUSTERDOWN",
    redis_errors.MasterDownError: "MASTERDOWN",
    redis_errors.TryAgainError: "TRYAGAIN",
    redis_errors.MovedError: "MOVED",
    redis_errors.AskError: "ASK",
}
"""Errors whose code redis-py takes out of the message."""

_CORRUPT = re.compile(r"CORRUPT ([^;]*);")
_CODE = re.compile(rf"\b({'|'.join(NOT_NOW)})\b")


def place_of(url: str) -> str:
    """A store's URL without user, password and options: fit to be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def fault(error: BaseException, place: str, key: str) -> StoreError:
    """The StoreError that says what `error`, met at `place` while asking for `key`, means."""
    text = str(error)
    if found := _CORRUPT.search(text):
        return StoreCorrupt(f"{found[1]} (store {place}); see `weighbridge audit`")
    if isinstance(error, LATE):
        return StoreUnavailable(f"the store {place} gave no answer in time")
    code = code_of(error)
    if code:
        return StoreUnavailable(f"the store {place} says not now: {NOT_NOW[code]}")
    if "WRONGTYPE" in text:
        return StoreCorrupt(f"{key} is not of the ledger's type (store {place}); see `weighbridge audit`")
    if isinstance(error, redis_errors.ResponseError):
        return StoreUnavailable(f"the store {place} refuses: {text}")
    return StoreUnavailable(f"the store {place} cannot be reached: {text or type(error).__name__}")


def code_of(error: BaseException | None) -> str | None:
    """The server's word, or None where it said none of these.  redis-py wraps what it meets while
    connecting, so causes are looked at too."""
    while error is not None:
        if code := CODES.get(type(error)):
            return code
        if found := _CODE.search(str(error)):
            return found[1]
        error = error.__cause__ or error.__context__
    return None


LOST = (redis_errors.ConnectionError, ConnectionError, EOFError)
"""The connection broke: whether the command was applied is not known."""
LATE = (TimeoutError, redis_errors.TimeoutError)
"""No answer in time: nor is it then."""
