"""Virtual keys: what is stored of one, and what is read back.

The secret is "wb-" and 43 url-safe characters; only its SHA-256 is ever stored, and it is the
document's name on the shelf "keys", so a request's key is found with one look and nothing to scan.
A document is {"id", "alias", "org", "team", "user", "tags", "expires_at", "created_at"}; times are
milliseconds, absent ones None.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from weighbridge.core.model import Principal

PREFIX: Final = "wb-"
Document = Mapping[str, Any]


def digest(secret: str) -> str:
    """The name a key is stored under.  A key has 256 random bits, so one plain hash is enough."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def new_document(
    *,
    id: str,
    team: str,
    now: int,
    org: str | None = None,
    user: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
    expires_at: int | None = None,
) -> dict[str, Any]:
    """What is stored of a new key."""
    return {
        "id": id,
        "alias": alias,
        "org": org,
        "team": team,
        "user": user,
        "tags": dict(tags or {}),
        "expires_at": expires_at,
        "created_at": now,
    }


def principal(document: Document) -> Principal:
    """Who sends what is sent with this key."""
    return Principal(
        org=document["org"],
        team=document["team"],
        user=document["user"],
        key=name(document),
        tags=document["tags"],
    )


def name(document: Document) -> str:
    """What reports call the key: its alias, or its id where it has none."""
    return str(document["alias"] or document["id"])


def expired(document: Document, now: int) -> bool:
    """Whether the key's time is over."""
    return document["expires_at"] is not None and now >= document["expires_at"]
