"""Who is calling: virtual keys, a trusted proxy's headers, or nobody in particular on loopback."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs

from weighbridge.core import keys
from weighbridge.core.errors import Refused, StoreError, StoreUnavailable
from weighbridge.core.model import Principal
from weighbridge.core.shelves import Look, Version
from weighbridge.core.tags import HEADER, tagged
from weighbridge.guard import AsyncGuard
from weighbridge.outage import store_down
from weighbridge.settings import Settings

Scope = MutableMapping[str, Any]
Headers = Mapping[bytes, bytes]

KNOWN_MS: Final = 500
"""How long a key is believed without asking the store again; revoking takes effect within a second."""
BELIEVED_MS: Final = 10 * 60 * 1000
"""How long a key is believed while the store does not answer."""
MOST_KNOWN: Final = 10_000
LARGEST_HEADERS: Final = 64 * 1024
KEY_HEADERS: Final = (b"x-api-key", b"x-goog-api-key", b"x-auth-token")
FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip")
IDENTITY_HEADERS: Final = (b"x-weighbridge-org", b"x-weighbridge-team", b"x-weighbridge-user", b"x-weighbridge-key")


class Doorkeeper:
    """Turns a request's credentials into a Principal; raises Refused("unknown_key" | "forbidden" | "too_large")."""

    def __init__(self, settings: Settings, guard: AsyncGuard) -> None:
        self._settings = settings
        self._guard = guard
        self._known: dict[str, tuple[int, Any]] = {}
        self._keyless = (0, False)

    async def identify(self, scope: Scope) -> Principal:
        """Who sends this request."""
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADERS:
            raise Refused("too_large", f"The request's headers are larger than {LARGEST_HEADERS // 1024} KB.")
        headers = dict(scope["headers"])
        modes = {"none": self._anybody, "keys": self._by_key, "header": self._by_header}
        who = await modes[self._settings.auth](scope, headers)
        return tagged(who, headers.get(HEADER.encode(), b"").decode("latin-1"))

    async def _anybody(self, scope: Scope, headers: Headers) -> Principal:
        _only_loopback(scope)
        return Principal()

    async def _by_header(self, scope: Scope, headers: Headers) -> Principal:
        peer = ip_address(scope["client"][0]) if scope.get("client") else None
        if peer is None or not any(peer in network for network in self._settings.trusted_proxies):
            raise Refused("forbidden", f"Identity headers are not believed from {peer}; add it to trusted_proxies.")
        names = [name for name, _ in scope["headers"] if name in IDENTITY_HEADERS]
        if len(names) != len(set(names)):
            raise Refused("forbidden", "An identity header came twice: the proxy must replace the client's own.")
        org, team, user, key = (_said(headers, name) for name in IDENTITY_HEADERS)
        return Principal(org, team, user, key)

    async def _by_key(self, scope: Scope, headers: Headers) -> Principal:
        secret = presented_key(scope, headers)
        if secret is None or not secret.startswith(keys.PREFIX):
            if await self._no_key_yet():
                _only_loopback(scope)
                return Principal()
            raise Refused("unknown_key", "A weighbridge key (wb-...) is needed. Create one: weighbridge key create.")
        document = await self._look(keys.digest(secret))
        if document is None:
            raise Refused("unknown_key", "This weighbridge key is unknown or was revoked.")
        if keys.expired(document, self._guard.desk.now()):
            raise Refused("unknown_key", "This weighbridge key has expired. Ask for a new one.")
        return keys.principal(document)

    async def _look(self, digest: str) -> Any:
        now = self._guard.desk.now()
        at, document = self._known.get(digest, (0, None))
        if document is not None and now - at < KNOWN_MS:
            return document
        try:
            document = await self._guard.ask(Look("keys", digest))
        except StoreUnavailable as error:
            if document is None or now - at >= BELIEVED_MS:
                raise store_down(error) from error
            # Policies say what becomes of calls while the store is away; who calls is still known.
            return document
        except StoreError as error:
            raise store_down(error) from error
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        if document is None:
            # Unknown keys are not remembered: guesses must not push out the real ones.
            self._known.pop(digest, None)
        else:
            self._known[digest] = (now, document)
        return document

    async def _no_key_yet(self) -> bool:
        now = self._guard.desk.now()
        at, keyless = self._keyless
        if not at or now - at >= KNOWN_MS:
            try:
                keyless = await self._guard.ask(Version("keys")) == 0
            except StoreError as error:
                raise store_down(error) from error
            self._keyless = (now, keyless)
        return keyless


def presented_key(scope: Scope, headers: Headers) -> str | None:
    """The credential, from wherever the client's SDK puts it."""
    scheme, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in KEY_HEADERS:
        if name in headers:
            return headers[name].decode("latin-1").strip()
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("key")
    return found[0] if found else None


def _said(headers: Headers, name: bytes) -> str | None:
    return headers[name].decode("latin-1") if headers.get(name) else None


def _only_loopback(scope: Scope) -> None:
    """A proxy on this machine speaks for others, so what it forwards does not count as this machine."""
    client = scope.get("client")
    forwarded = any(name in FORWARDED for name, _ in scope["headers"])
    if forwarded or (client and not ip_address(client[0]).is_loopback):
        raise Refused("unknown_key", "Only this machine is served without a key. Create one: weighbridge key create.")
