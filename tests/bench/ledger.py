"""What the ledger costs: `python tests/bench/ledger.py [--ops N] [--rounds N] [--url URL]`.

Reserve + settle on 1, 4 and 12 counters, at 1 and 64 concurrent, through the async store and (in
threads) the sync one; beside a bare INCRBY and TensorZero's shape (see shapes.py) through the same
client.  CPU is this process's, the server's is what it says a command took; both are per command.
Every figure is the best of some rounds: other people's load only ever makes it worse.
The server is a private one unless `--url` names another (its keys start with "bench").  How the
ledger grows is in ledger_size.py.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import redis
from shapes import Buckets, Increment, install

from weighbridge.core.ledger import Charge, Counter, Entry, Granted, Hold, Reserve, Settle, Verb
from weighbridge.ledger.embedded import join
from weighbridge.ledger.redis import AsyncRedisStore, RedisStore

Making = Callable[[int], tuple[Verb[Any], ...]]
"""The verbs of one call, by its number."""
START, END = 0, 10**14
CONCURRENT = (1, 64)
COUNTERS = (1, 4, 12)
STORES = (("async store, one connection", False), ("sync store, threads and a pool", True))


def holds(counters: int) -> tuple[Hold, ...]:
    scope = (("team", "research"), ("model", "gpt-4.1"))
    return tuple(
        Hold(Counter(f"policy-{n}", "nano_usd", "month", scope, START, END), 10**15, 2_000_000, 8_000_000)
        for n in range(counters)
    )


def _pair(counters: int) -> Making:
    held = holds(counters)
    charges = tuple(Charge(hold.counter, 6_400_000) for hold in held)

    def make(number: int) -> tuple[Verb[Any], ...]:
        name = f"{counters}-{number}"
        entry = Entry(name, team="research", model="gpt-4.1", input=2000, output=300, nano_usd=6_400_000)
        return Reserve(name, held, want=1000, least=1), Settle(name, charges, entry)

    return make


def _borrow(counters: int) -> Making:
    return lambda number: (Buckets(counters, 8_000_000), Buckets(counters, 1_600_000, back=True))


_numbers = itertools.count()
"""One for every call, whoever makes it."""
ROWS: tuple[tuple[str, Making], ...] = (
    ("bare INCRBY", lambda number: (Increment(),)),
    *((f"TensorZero's shape, {n} buckets", _borrow(n)) for n in COUNTERS),
    *((f"reserve + settle, {n} counters", _pair(n)) for n in COUNTERS),
)


@dataclass(slots=True)
class Measured:
    """One row: microseconds, but for `rate` (commands a second)."""

    rate: float
    cpu: float
    server: float
    p50: float
    p99: float

    def best(self, other: Measured) -> Measured:
        """Of each figure the better."""
        lower = (min(getattr(self, name), getattr(other, name)) for name in ("cpu", "server", "p50", "p99"))
        return Measured(max(self.rate, other.rate), *lower)


class Meter:
    """Latencies of the first verb of each call (the one a caller waits for), and what was used meanwhile."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.latencies: list[float] = []
        self.commands = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        self.latencies.clear()
        self.commands = 0
        self._client.config_resetstat()
        cpu, wall = process_time(), perf_counter()
        yield
        self.cpu, self.wall = process_time() - cpu, perf_counter() - wall

    def measured(self) -> Measured:
        stats: Any = self._client.info("commandstats")
        used = sum(stats.get(f"cmdstat_{name}", {}).get("usec", 0) for name in ("evalsha", "incrby"))
        seen = sorted(self.latencies)
        p50, p99 = (seen[int(len(seen) * share)] * 1e6 for share in (0.5, 0.99))
        done = self.commands
        return Measured(done / self.wall, self.cpu / done * 1e6, used / done, p50, p99)


async def _asynchronously(url: str, make: Making, ops: int, concurrent: int, meter: Meter) -> None:
    store = AsyncRedisStore(url, prefix="bench", deadline=30)

    async def caller(times: int) -> None:
        for _ in range(times):
            first, *rest = make(next(_numbers))
            begun = perf_counter()
            answer = await store.run(first)
            meter.latencies.append(perf_counter() - begun)
            assert not isinstance(first, Reserve) or isinstance(answer, Granted)
            for verb in rest:
                await store.run(verb)
            meter.commands += 1 + len(rest)

    await caller(20)
    with meter.running():
        await asyncio.gather(*(caller(ops // concurrent) for _ in range(concurrent)))
    await store.close()


def _in_threads(url: str, make: Making, ops: int, concurrent: int, meter: Meter) -> None:
    store = RedisStore(url, prefix="bench", deadline=30)

    def caller(times: int) -> None:
        for _ in range(times):
            first, *rest = make(next(_numbers))
            begun = perf_counter()
            store.run(first)
            meter.latencies.append(perf_counter() - begun)
            for verb in rest:
                store.run(verb)
            meter.commands += 1 + len(rest)

    caller(20)
    with ThreadPoolExecutor(concurrent) as pool, meter.running():
        list(pool.map(caller, [ops // concurrent] * concurrent))
    store.close()


def _round(client: redis.Redis, url: str, make: Making, ops: int, concurrent: int, sync: bool) -> Measured:
    meter = Meter(client)
    if sync:
        _in_threads(url, make, ops // 2, concurrent, meter)
    else:
        asyncio.run(_asynchronously(url, make, ops, concurrent, meter))
    return meter.measured()


def _all(url: str, ops: int, rounds: int) -> None:
    install()
    with redis.Redis.from_url(url) as client:
        for (title, sync), concurrent in itertools.product(STORES, CONCURRENT):
            print(f"\n{title:32} {'c':>3} {'cmd/s':>9} {'cpu us':>8} {'server us':>10} {'p50 us':>8} {'p99 us':>8}")
            found = {}
            for name, make in ROWS:
                row = reduce(Measured.best, (_round(client, url, make, ops, concurrent, sync) for _ in range(rounds)))
                found[name] = row
                print(
                    f"{name:32} {concurrent:3} {row.rate:9,.0f} {row.cpu:8.1f} {row.server:10.1f}"
                    f" {row.p50:8,.0f} {row.p99:8,.0f}"
                )
            _per_scope(found)


def _per_scope(found: dict[str, Measured]) -> None:
    few, many = (found[f"reserve + settle, {n} counters"] for n in (COUNTERS[0], COUNTERS[-1]))
    steps = COUNTERS[-1] - COUNTERS[0]
    cpu, server = (many.cpu - few.cpu) / steps, (many.server - few.server) / steps
    print(f"{'each counter more':32}     {'':9} {cpu:8.1f} {server:10.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url")
    options = parser.parse_args()
    if options.url:
        _all(options.url, options.ops, options.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        joined = join(Path(folder) / "data")
        _all(joined.url, options.ops, options.rounds)
        joined.close()


if __name__ == "__main__":
    main()
