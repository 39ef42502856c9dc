"""A script that is killed in the middle of an answer is charged for it, by whatever runs next on its machine."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.commands import kept_store
from adapters.crossings import Yard
from gates import journaled
from gateway.provider import sse
from gateway.upstream import Answer, Wait
from weighbridge import wiring
from weighbridge.core.ledger import OpenHolds
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store
from weighbridge.settings import load

PACKAGE = Path(__file__).parents[2] / "plugin"
WORDS = 200
POLICIES = {"policies": [{"name": "mine", "match": {"team": "mine"}, "limit": {"requests": 100}, "window": "month"}]}
BEGIN = """
import asyncio, httpx, os, signal, sys
from weighbridge.adapters.httpx import AsyncTransport, Transport
body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
asked = ("POST", "/v1/chat/completions")
given = {"json": body, "headers": {"x-replay": "endless"}}
heard = 0
def hear(line):
    global heard
    heard += "lorry" in line
    if heard == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
"""
SCRIPTS = {
    "threads": """
with httpx.Client(base_url=sys.argv[1], transport=Transport(store=sys.argv[2], team="mine")) as client:
    with client.stream(*asked, **given) as answer:
        for line in answer.iter_lines():
            hear(line)
""",
    "loops": """
async def main():
    async with httpx.AsyncClient(base_url=sys.argv[1], transport=AsyncTransport(store=sys.argv[2], team="mine")) as c:
        async with c.stream(*asked, **given) as answer:
            async for line in answer.aiter_lines():
                hear(line)
asyncio.run(main())
""",
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store that no other test writes to."""
    with kept_store() as found:
        yield found


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_killed_script_is_charged(at: Yard, url: str, unset: None, store: Store, script: str) -> None:
    store.run(Put("policies", shelf.write(*parse.policies(POLICIES))))
    known = journaled(store)[-1:]
    held_back = threading.Event()
    word: Any = {"choices": [{"index": 0, "delta": {"content": "lorry "}}]}
    at.upstream.tape["endless"] = Answer.stream(*sse(*[word] * WORDS), Wait(held_back))
    command = [sys.executable, "-c", BEGIN + script, at.url, url, str(WORDS)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60
    )
    held_back.set()
    assert done.returncode == -9, done.stderr
    next_one = wiring.guard(load(store=url))
    assert next_one.repay() == 1
    next_one.shut()
    [entry] = journaled(store, known[0].cursor if known else "")
    assert entry.ending.startswith("cut off: the worker died")
    assert entry.output >= WORDS
    assert not store.run(OpenHolds())
