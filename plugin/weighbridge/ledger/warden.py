"""The private server's keeper: `python -m weighbridge.ledger.warden DIR SOCKET REDIS_SERVER`.

It starts the server as its child and waits for the last user to go.  Every user holds a shared
lock on DIR/users, which the kernel drops however the user ends, kill -9 included.  When the warden
gets that lock for itself alone nobody is left: it has the server save its data and stop, and ends.
If the server dies first, the warden ends too, and the next user starts both again.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

USERS = "users"
LOG = "redis.log"


def server_options(directory: Path, socket: Path) -> list[str]:
    """Append-only persistence, synced every second; never evicts; heard on the socket only."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "logfile": str(directory / LOG),
        "daemonize": "no",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _stop_with_last_user(users: int, server: subprocess.Popen[bytes]) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    server.terminate()


def keep(directory: Path, socket: Path, binary: str) -> int:
    """Run the server until its last user has gone; its exit status."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    users = os.open(directory / USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    server = subprocess.Popen([binary, *server_options(directory, socket)], stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    threading.Thread(target=_stop_with_last_user, args=(users, server), daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
