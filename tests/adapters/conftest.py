from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adapters.commands import POLICIES, Run, kept_store
from adapters.crossings import LIBRARIES, Over, Yard, yard
from weighbridge.adapters.cli import cli
from weighbridge.core.policy import shelf
from weighbridge.core.shelves import Fetch, Put
from weighbridge.desk import Scale
from weighbridge.ledger import Store
from weighbridge.settings import load, read_policies
from weighbridge.wiring import scale as build_scale
from weighbridge.wiring import store as open_store


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """An embedded store that stays up for all tests."""
    with kept_store() as found:
        yield found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """The store, with its shelves empty."""
    opened = open_store(load(store=url))
    for name in ("policies", "keys", "credits"):
        opened.run(Put(name, {}, drop=tuple(opened.run(Fetch(name)))))  # type: ignore[arg-type]
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the store."""
    for name in ("WEIGHBRIDGE_CONFIG", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIGHBRIDGE_STORE", url)

    def of(*words: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, words, input=stdin, catch_exceptions=False)

    return of


@pytest.fixture
def policies(store: Store) -> None:
    store.run(Put("policies", shelf.write(*read_policies(POLICIES, "test"))))


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a file; its path."""

    def of(text: str, name: str = "policies.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return of


@pytest.fixture(scope="session")
def scale() -> Scale:
    """What weighs, built once."""
    return build_scale(load(environ={}, store="memory://"))


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of weighbridge and knows no provider."""
    for name in [name for name in os.environ if name.startswith("WEIGHBRIDGE_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)


@pytest.fixture
def at(scale: Scale, unset: None) -> Iterator[Yard]:
    with yard(scale) as opened:
        yield opened


@pytest.fixture(params=list(LIBRARIES))
def over(at: Yard, request: pytest.FixtureRequest) -> Over:
    """Makes a client of one of the libraries, over its transport."""
    library, transports = LIBRARIES[request.param]

    @contextmanager
    def client(team: str = "free", **more: Any) -> Iterator[Any]:
        more = more or {"guard": at.guard}
        with library.Client(base_url=at.url, transport=transports.Transport(team=team, **more)) as opened:
            opened.library = library
            yield opened

    return client
