"""A Redis URL taken apart: who is asked, and with which of redis-py's options.

redis://[user:pass@]host[:port][/DB][?options]                      one server; rediss:// over TLS
unix://[user:pass@]/path/to/socket[?db=DB]
redis+sentinel://[user:pass@]h1[:p1][,h2[:p2]...]/SERVICE[/DB]       user and password are the data servers';
                                                                    the sentinels' own are options
redis+cluster://[user:pass@]h1[:p1][,h2[:p2]...]                     any of its nodes; they tell of the others
rediss+sentinel://, rediss+cluster://                               the same over TLS
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

from redis.connection import parse_url

from weighbridge.core.errors import ConfigError

Node = tuple[str, int]
"""Host and port; of a unix socket, its path and 0."""
Untyped = Any
"""What redis-py gives no types for."""
Kind = Literal["single", "sentinel", "cluster"]

KINDS: Mapping[str, Kind] = {
    "redis": "single",
    "rediss": "single",
    "unix": "single",
    "redis+sentinel": "sentinel",
    "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster",
    "rediss+cluster": "cluster",
}
PORTS: Mapping[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}

OPTIONS = frozenset({"db", "username", "password", "client_name", "socket_keepalive"})
TLS_OPTIONS = frozenset(
    {"ssl_ca_certs", "ssl_ca_path", "ssl_ca_data", "ssl_certfile", "ssl_keyfile", "ssl_password"}
    | {"ssl_cert_reqs", "ssl_check_hostname", "ssl_min_version", "ssl_ciphers"}
)
WATCHER_OPTIONS = frozenset({"sentinel_username", "sentinel_password"})
TIMEOUTS = frozenset({"timeout", "socket_timeout", "socket_connect_timeout", "retry_on_timeout"})
CERT_REQS = ("required", "optional", "none")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is."""

    kind: Kind
    nodes: tuple[Node, ...]
    """The server; the sentinels; some nodes of the cluster."""
    service: str
    """What the sentinels call the primary; "" for other kinds."""
    wire: Literal["tcp", "tls", "unix"]
    options: Mapping[str, Any]
    """redis-py's options of a connection to a server that keeps data."""
    watcher: Mapping[str, Any]
    """The same of a connection to a sentinel."""


def address_of(url: str) -> Address:
    """The address a URL gives.  Raises ConfigError with the fix; no secret is in its message."""
    scheme = url.partition(":")[0]
    kind = KINDS[scheme]
    try:
        parts = urlsplit(url)
        _options_known(set(parse_qs(parts.query, keep_blank_values=True)), scheme, kind)
        options: dict[str, Any] = cast(Untyped, parse_url)(_plain(url, scheme, kind))
        if options.get("ssl_cert_reqs", "required") not in CERT_REQS:
            raise ValueError(f"ssl_cert_reqs is none of {', '.join(CERT_REQS)}")
        options.pop("connection_class", None)
        if scheme == "unix":
            path = options.pop("path", "")
            if not path:
                raise ValueError("it names no socket: unix:///path/to/redis.sock")
            return Address(kind, ((path, 0),), "", "unix", options, {})
        nodes = _nodes(parts.netloc.rpartition("@")[2], PORTS[kind])
        service, database = _path(parts.path, kind)
    except ValueError as error:
        raise ConfigError(f"the store's URL cannot be read: {error}") from error
    options = {name: value for name, value in options.items() if name not in ("host", "port")}
    if database is not None:
        options["db"] = database
    if kind == "cluster" and options.get("db"):
        raise ConfigError("a cluster has database 0 only: leave the number out of the store's URL")
    watcher = {name.removeprefix("sentinel_"): options.pop(name) for name in WATCHER_OPTIONS & options.keys()}
    watcher |= {name: value for name, value in options.items() if name in TLS_OPTIONS}
    return Address(kind, nodes, service, "tls" if scheme.startswith("rediss") else "tcp", options, watcher)


def _options_known(names: set[str], scheme: str, kind: Kind) -> None:
    tls = scheme.startswith("rediss")
    known = OPTIONS | (TLS_OPTIONS if tls else set()) | (WATCHER_OPTIONS if kind == "sentinel" else set())
    for name in sorted(names - known):
        if name in TIMEOUTS:
            raise ValueError(f"{name} is not the URL's to say: set store_timeout_seconds")
        if name in TLS_OPTIONS:
            raise ValueError(f"{name} is for TLS: write {scheme.replace('redis', 'rediss')}:// instead of {scheme}://")
        raise ValueError(f"it has no option {name!r}: give {', '.join(sorted(known))}")


def _plain(url: str, scheme: str, kind: Kind) -> str:
    """A URL of one server with the same user, password and options, as redis-py reads them."""
    if kind == "single":
        return url
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return f"{scheme.partition('+')[0]}://{user}{at}host?{parts.query}"


def _nodes(hosts: str, port: int) -> tuple[Node, ...]:
    found = []
    for host in hosts.split(","):
        # A split of its own, for square brackets and for ports that are none.
        one = urlsplit(f"redis://{host}")
        if not one.hostname and (len(hosts.split(",")) > 1 or hosts):
            raise ValueError(f"{host!r} is no host")
        found.append((unquote(one.hostname or "localhost"), one.port or port))
    return tuple(found)


def _path(path: str, kind: Kind) -> tuple[str, int | None]:
    """The service, where there are sentinels, and the database."""
    service, _, database = path.removeprefix("/").partition("/") if kind == "sentinel" else ("", "", path.strip("/"))
    if kind == "sentinel" and not service:
        raise ValueError("it lacks the primary's name: redis+sentinel://host:26379/SERVICE")
    if database and not database.isdigit():
        raise ValueError(f"the database {database!r} is not a number")
    return unquote(service), int(database) if database else None
