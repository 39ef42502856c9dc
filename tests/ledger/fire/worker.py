"""A worker process under fire: `python worker.py TERMS` (see plot.Terms).  It may die at any instruction."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import sleep, time
from typing import Any

from ledger.fire.plot import Call, Step, Terms, call
from weighbridge.core.errors import StoreUnavailable
from weighbridge.ledger.open import open_async_store, open_store

THREADS = 3
TASKS = 8


class Log:
    """One write a line, so that what was acknowledged outlives a kill -9.  Counts operations."""

    def __init__(self, terms: Terms) -> None:
        path = Path(terms.log)
        done = path.read_text().count('"done"') if path.exists() else 0
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.left = terms.operations - done

    def __call__(self, *said: Any) -> None:
        os.write(self._file, json.dumps(said).encode() + b"\n")

    @contextmanager
    def operation(self, verb: Any) -> Iterator[None]:
        try:
            yield
        except StoreUnavailable as error:
            self("unavailable", str(error))
        self("done", type(verb).__name__)
        self.left -= 1


def calls(terms: Terms, log: Log) -> Iterator[Call]:
    """Calls until the slot's operations are used up."""
    dice = Random(f"{terms.slot} {terms.life}")
    number = 0
    while log.left > 0:
        number += 1
        yield call(Random(dice.random()), f"w{terms.slot}-{terms.life}-{number}", terms.budget, log)


def in_threads(terms: Terms, log: Log) -> None:
    store = open_store(terms.url, clock=_clock, directory=Path(), timeout=terms.deadline)
    todo, lock = calls(terms, log), threading.Lock()

    def take() -> Call | None:
        with lock:
            return next(todo, None)

    def ask(step: Step) -> Any:
        if isinstance(step, float):
            sleep(step)
            return None
        with log.operation(step):
            return store.run(step)

    def drive() -> None:
        while (one := take()) is not None:
            step = next(one, None)
            while step is not None:
                step = _next(one, ask(step))

    with ThreadPoolExecutor(THREADS) as pool:
        for driven in [pool.submit(drive) for _ in range(THREADS)]:
            driven.result()
    store.close()


async def in_a_loop(terms: Terms, log: Log) -> None:
    store = await open_async_store(terms.url, clock=_clock, directory=Path(), timeout=terms.deadline)
    todo = calls(terms, log)

    async def ask(step: Step) -> Any:
        if isinstance(step, float):
            await asyncio.sleep(step)
            return None
        with log.operation(step):
            return await store.run(step)

    async def drive() -> None:
        for one in todo:
            step = next(one, None)
            while step is not None:
                step = _next(one, await ask(step))

    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(drive())
    await store.close()


def _clock() -> int:
    return int(time() * 1000)


def _next(one: Call, answer: Any) -> Any:
    try:
        return one.send(answer)
    except StopIteration:
        return None


if __name__ == "__main__":
    told = Terms(**json.loads(sys.argv[1]))
    if told.asynchronous:
        asyncio.run(in_a_loop(told, Log(told)))
    else:
        in_threads(told, Log(told))
