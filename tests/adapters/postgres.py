"""A real Postgres for a test, where the machine has one."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

NOBODY = 65_534
"""Postgres does not run as root."""
PASSWORD = "secret word"


def binary(name: str) -> str:
    """Where a program of Postgres is; skips the test where it is nowhere."""
    places = [shutil.which(name), *(str(found) for found in Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))]
    found = next((place for place in reversed(places) if place), None)
    if found is None:
        pytest.skip(f"there is no {name} on this machine")
    return found


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """A server on a port of its own; the URL of its database."""
    initdb, server = binary("initdb"), binary("pg_ctl")
    user = {"user": NOBODY, "group": NOBODY} if os.getuid() == 0 else {}
    data, log, word = folder / "data", folder / "log", folder / "password"
    word.write_text(PASSWORD)
    for path in (folder, word):
        if user:
            os.chown(path, NOBODY, NOBODY)
    port = free_port()
    subprocess.run(
        [initdb, "-D", data, "-U", "llm", "-A", "scram-sha-256", "--pwfile", word, "-E", "UTF8", "--locale=C", "-N"],
        check=True, capture_output=True, cwd=folder, **user,
    )  # fmt: skip
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    subprocess.run(
        [server, "-D", data, "-l", log, "-o", options, "-w", "start"],
        check=True,
        capture_output=True,
        cwd=folder,
        **user,
    )
    try:
        yield f"postgresql://llm:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run(
            [server, "-D", data, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder, **user
        )
