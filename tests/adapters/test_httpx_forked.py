"""A process that was forked goes on with its parent's transport, as workers of a pool do: its calls are charged too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.crossings import Yard
from gates import journaled
from gateway.upstream import until
from weighbridge.core.ledger import OpenHolds
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store

PACKAGE = Path(__file__).parents[2] / "plugin"
POLICY = {"name": "mine", "match": {"team": "forked"}, "limit": {"requests": 100}, "window": "month"}
SCRIPT = """
import atexit, gc, httpx, multiprocessing, sys
from weighbridge.adapters.httpx import Transport

# httpx's own connections are not for two processes: none is kept.
wire = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))
http = httpx.Client(base_url=sys.argv[1], transport=Transport(wire, store=sys.argv[2], team="forked"))
body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}

def stream():
    return http.send(http.build_request("POST", "/v1/chat/completions", json={**body, "stream": True}), stream=True)

def plain():
    http.post("/v1/chat/completions", json=body)

def forgotten():
    answer = stream()
    del answer
    gc.collect()

def child():
    %s

plain(); stream().read()
mine = stream()
processes = [multiprocessing.get_context("fork").Process(target=child) for _ in range(2)]
for process in processes:
    process.start()
for process in processes:
    process.join()
    assert process.exitcode == 0
mine.read()
plain()
"""
CHILDREN = {
    "plain": "plain(); plain()",
    "streamed": "stream().read()",
    "left early": "answer = stream(); next(answer.iter_raw()); answer.close()",
    "forgotten": "forgotten(); http.close()",
    "forked by hand": "plain(); atexit._run_exitfuncs()",
    "idle, forked by hand": "atexit._run_exitfuncs()",
}


@pytest.mark.parametrize("does", CHILDREN.values(), ids=CHILDREN)
def test_every_call_of_parent_and_children_is_charged(at: Yard, url: str, store: Store, does: str) -> None:
    store.run(Put("policies", shelf.write(*parse.policies({"policies": [POLICY]}))))
    known = {entry.id for entry in journaled(store)}
    environ = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT % does, at.url, url], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    until(lambda: not store.run(OpenHolds()), "every hold to be settled", 5)
    charged = [entry.ending for entry in journaled(store) if entry.id not in known]
    assert charged == ["reported"] * at.billed(), done.stderr


ASYNC_SCRIPT = """
import asyncio, atexit, httpx, multiprocessing, sys
from weighbridge.adapters.httpx import AsyncTransport

body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}

async def main():
    transport = AsyncTransport(store=sys.argv[2], team="forked")
    async with httpx.AsyncClient(base_url=sys.argv[1], transport=transport) as http:
        mine = await http.send(http.build_request("POST", "/v1/chat/completions", json=body), stream=True)
        process = multiprocessing.get_context("fork").Process(target=atexit._run_exitfuncs)
        process.start()
        process.join()
        await mine.aread()

asyncio.run(main())
"""


def test_a_child_s_end_charges_no_stream_of_its_parent_s_loop(at: Yard, url: str, store: Store) -> None:
    store.run(Put("policies", shelf.write(*parse.policies({"policies": [POLICY]}))))
    known = {entry.id for entry in journaled(store)}
    environ = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(
        [sys.executable, "-c", ASYNC_SCRIPT, at.url, url], env=environ, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert [entry.ending for entry in journaled(store) if entry.id not in known] == ["reported"]
