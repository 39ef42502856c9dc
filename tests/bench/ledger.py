"""What the ledger costs: `python tests/bench/ledger.py [--ops N] [--url URL]`.

Reserve + settle on 1, 4 and 12 counters, at 1 and 64 concurrent, through the async store, beside a
bare INCRBY through redis-py's own pool.  CPU is this process's, per command; the server is a private
one unless `--url` names another (its keys start with "bench").
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time

import redis.asyncio

from weighbridge.core.ledger import Charge, Counter, Entry, Granted, Hold, Reserve, Settle
from weighbridge.ledger.embedded import join
from weighbridge.ledger.redis import AsyncRedisStore

Work = Callable[[int], Awaitable[None]]
START, END = 0, 10**14


def _holds(counters: int) -> tuple[Hold, ...]:
    scope = (("team", "research"), ("model", "gpt-4.1"))
    return tuple(
        Hold(Counter(f"policy-{n}", "nano_usd", "month", scope, START, END), 10**15, 2_000_000, 8_000_000)
        for n in range(counters)
    )


def _pair(store: AsyncRedisStore, counters: int, name: str, latencies: list[float]) -> Work:
    holds = _holds(counters)

    async def work(number: int) -> None:
        begun = perf_counter()
        answer = await store.run(Reserve(f"{name}-{number}", holds, want=1000, least=1))
        latencies.append(perf_counter() - begun)
        assert isinstance(answer, Granted)
        entry = Entry(f"{name}-{number}", team="research", model="gpt-4.1", input=2000, output=300, nano_usd=6_400_000)
        await store.run(Settle(f"{name}-{number}", tuple(Charge(hold.counter, 6_400_000) for hold in holds), entry))

    return work


def _bare(client: redis.asyncio.Redis, latencies: list[float]) -> Work:
    async def work(number: int) -> None:
        begun = perf_counter()
        await client.incrby("bench:bare", 1)
        latencies.append(perf_counter() - begun)

    return work


async def _row(title: str, work: Work, latencies: list[float], ops: int, commands: int, concurrent: int) -> None:
    numbers = iter(range(10**9))

    async def caller(times: int) -> None:
        for _ in range(times):
            await work(next(numbers))

    await caller(20)
    latencies.clear()
    cpu, wall = process_time(), perf_counter()
    await asyncio.gather(*(caller(ops // concurrent) for _ in range(concurrent)))
    cpu, wall = process_time() - cpu, perf_counter() - wall
    done = ops // concurrent * concurrent * commands
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1e6 for share in (0.5, 0.99))
    print(f"{title:34} {concurrent:4} {done / wall:10,.0f} {cpu / done * 1e6:10.1f} {p50:10,.0f} {p99:10,.0f}")


async def _all(url: str, ops: int) -> None:
    store, client = AsyncRedisStore(url, prefix="bench"), redis.asyncio.Redis.from_url(url)
    print(f"{'':34} {'c':>4} {'ops/s':>10} {'us cpu/op':>10} {'p50 us':>10} {'p99 us':>10}")
    for concurrent in (1, 64):
        seen: list[float] = []
        await _row("bare INCRBY, redis-py's pool", _bare(client, seen), seen, ops, 1, concurrent)
        for counters in (1, 4, 12):
            seen = []
            work = _pair(store, counters, f"{id(seen)}-{concurrent}-{counters}", seen)
            await _row(f"reserve + settle, {counters} counters", work, seen, ops, 2, concurrent)
    await store.close()
    await client.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ops", type=int, default=5000)
    parser.add_argument("--url")
    options = parser.parse_args()
    if options.url:
        asyncio.run(_all(options.url, options.ops))
        return
    with tempfile.TemporaryDirectory(prefix="wb") as folder:
        joined = join(Path(folder) / "data")
        asyncio.run(_all(joined.url, options.ops))
        joined.close()


if __name__ == "__main__":
    main()
