"""The stage: a store, the stand-in provider and the gateway, all on this machine, gone when it is left."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from typing import Any, Final

import uvicorn

from weighbridge import wiring
from weighbridge.adapters.demo.provider import app as provider
from weighbridge.adapters.gateway import create
from weighbridge.core.errors import ConfigError, StoreUnavailable
from weighbridge.ledger import Store
from weighbridge.ledger.embedded import socket_path
from weighbridge.settings import Settings, load

LOOPBACK: Final = "127.0.0.1"
PATIENCE: Final = 30.0
"""Seconds a server may take to start."""
PAUSE: Final = 0.01
STORE: Final = "store"


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs."""

    url: str
    """The gateway's."""
    store: Store


@contextmanager
def stage(port: int) -> Iterator[Stage]:
    """Everything up, with an embedded store in a temporary directory; `port` 0 takes any that is free."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weighbridge-demo-")))
        upstream = stack.enter_context(_serving(provider, _socket(0), lifespan="off"))
        listening = _socket(port)
        settings = _settings(place, upstream, listening.getsockname()[1])
        stack.callback(_await_end, socket_path(place / STORE))
        opened = wiring.store(settings)
        stack.callback(opened.close)
        url = stack.enter_context(_serving(create(settings), listening, lifespan="on"))
        yield Stage(url, opened)


def _settings(place: Path, upstream: str, port: int) -> Settings:
    """Nothing from this machine's own environment: the demo must not meet a real provider."""
    providers = {
        name: {"base_url": upstream, "api_key": "held-by-the-gateway"} for name in ("openai", "anthropic", "gemini")
    }
    store = f"embedded:{place / STORE}"
    return load(None, {"HOME": str(place)}, store=store, host=LOOPBACK, port=port, providers=providers, data_dir=place)


def _socket(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"port {port} is taken ({error.strerror}); choose another, e.g. --port {port + 1}") from error
    return listening


@contextmanager
def _serving(app: Any, listening: socket.socket, lifespan: Any) -> Iterator[str]:
    """An app under uvicorn in a thread; gives its URL."""
    config = uvicorn.Config(app, lifespan=lifespan, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        _await_start(server, thread)
        yield f"http://{LOOPBACK}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()


def _await_start(server: uvicorn.Server, thread: Thread) -> None:
    until = monotonic() + PATIENCE
    while not server.started:
        if not thread.is_alive() or monotonic() > until:
            raise StoreUnavailable("the demo's server did not start; `weighbridge doctor` tells what is missing")
        sleep(PAUSE)


def _await_end(server: Path) -> None:
    """Until the store's server, which nobody uses any more, has put its files away and gone."""
    until = monotonic() + PATIENCE
    while server.exists() and monotonic() < until:
        sleep(PAUSE)
