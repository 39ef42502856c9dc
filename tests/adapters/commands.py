"""Commands, as tests run and read them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from click.testing import Result

from weighbridge.ledger.embedded import socket_path
from weighbridge.settings import load
from weighbridge.wiring import store as open_store

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What does the lorry weigh?"}], "max_tokens": 100}
CHAT_TOKENS = 7 + 3 + 1 + 3
"""Words, the message's frame, its role, the reply's priming."""
Run = Callable[..., Result]
PATIENCE = 20.0


POLICIES = """\
policies:
  - name: research-month
    match: {team: research}
    limit: {usd: 1}
    window: month
  - name: tight
    match: {team: support}
    limit: {usd: 0.00001}
    window: lifetime
  - name: at-once
    match: {team: "*"}
    limit: {concurrent: 9}
  - name: minis
    match: {team: interns}
    models: {allow: ["*-mini"]}
"""


def answer(result: Result, status: int = 0) -> Any:
    """The one JSON document on standard output."""
    assert result.exit_code == status, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def one_line(result: Result, *words: str, status: int = 2) -> None:
    """An error: one line on standard error with these words in it, nothing on standard output."""
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr.startswith("weighbridge: ")
    assert result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def until(true: Callable[[], bool]) -> None:
    """Returns as soon as it is true; fails where it never is."""
    end = monotonic() + PATIENCE
    while not true():
        assert monotonic() < end, "this never came true"
        sleep(0.01)


@contextmanager
def kept_store() -> Iterator[str]:
    """An embedded store that stays up; a short path, as sockets need."""
    with tempfile.TemporaryDirectory(prefix="wbc") as folder:
        found = f"embedded:{folder}/store"
        kept = open_store(load(store=found))
        yield found
        kept.close()
        until(lambda: not socket_path(Path(folder, "store")).exists())
