"""How the ledger grows: `python tests/bench/ledger_size.py [--teams 10,1000,100000,1000000] [--ops N]`.

Fills a private server with teams (a monthly counter each, by the settle script itself, in
pipelines), and at each size measures reserve + settle for teams drawn at random, one at a time.
Then what a team, an open hold, a remembered id and a journal entry take of the server's memory.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import redis

from weighbridge.core.ledger import Charge, Counter, Entry, Hold, Renew, Reserve, Settle, Verb
from weighbridge.ledger.embedded import join
from weighbridge.ledger.redis import RedisStore, words
from weighbridge.ledger.upkeep import Upkeep
from weighbridge.ledger.wire import Wire

PREFIX = "bench"
MONTH = 30 * 86_400_000
BATCH = 500
MANY = 20_000
"""Holds and entries whose memory is measured."""
FORGETFUL = Upkeep(retention_ms=1)
"""Forgets ended holds at once, so that a team's memory is the team's alone."""


def team(number: int, now: int) -> Counter:
    start = now // MONTH * MONTH
    return Counter("team-month", "nano_usd", "month", (("team", f"team-{number:07}"),), start, start + MONTH)


def pour(client: redis.Redis, verbs: Iterable[Verb[Any]], upkeep: Upkeep) -> None:
    """Run verbs in pipelines: the scripts themselves, without waiting for each."""
    wire, rest = Wire(PREFIX, upkeep), iter(verbs)
    while batch := list(islice(rest, BATCH)):
        with client.pipeline(transaction=False) as pipeline:
            for verb in batch:
                pipeline.execute_command(*words(wire.encode(verb)))
            pipeline.execute()


def used(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])  # type: ignore[index]


def latency(store: RedisStore, client: redis.Redis, teams: int, ops: int, now: int) -> str:
    dice, seen = Random(teams), []
    client.config_resetstat()
    for number in range(ops):
        counter, name = team(dice.randrange(teams), now), f"at-{teams}-{number}"
        begun = perf_counter()
        store.run(Reserve(name, (Hold(counter, 10**15, 1000, 8_000_000),), want=1000, least=1))
        seen.append(perf_counter() - begun)
        store.run(Settle(name, (Charge(counter, 6_400_000),), Entry(name, team="research")))
    seen.sort()
    stats: Any = client.info("commandstats")
    p50, p99 = (seen[int(len(seen) * share)] * 1e6 for share in (0.5, 0.99))
    return f"{stats['cmdstat_evalsha']['usec_per_call']:10.1f} {p50:8,.0f} {p99:8,.0f}"


def grow(url: str, sizes: list[int], ops: int) -> None:
    store = RedisStore(url, prefix=PREFIX, deadline=30, upkeep=FORGETFUL)
    store.run(Renew("load the script"))
    with redis.Redis.from_url(url) as client:
        client.config_set("auto-aof-rewrite-percentage", 0)
        seconds: Any = client.time()
        now = seconds[0] * 1000
        store.run(Settle("load the script"))
        store.run(Reserve("load the script", ()))
        print(f"{'teams':>10} {'server us':>10} {'p50 us':>8} {'p99 us':>8} {'bytes a team':>14}")
        filled, before = 0, used(client)
        for size in sizes:
            charges = ((Charge(team(number, now), 1_000_000_000),) for number in range(filled, size))
            pour(client, (Settle(f"fill-{filled}-{n}", charge) for n, charge in enumerate(charges)), FORGETFUL)
            grown, filled = used(client) - before, size
            print(f"{size:10,} {latency(store, client, size, ops, now)} {grown / size:14,.0f}", flush=True)
        _pieces(client, now)
    store.close()


def _pieces(client: redis.Redis, now: int) -> None:
    """Each kind of record by itself."""
    counters = [team(number, now) for number in range(4)]
    four = tuple(
        Hold(Counter(f"p{n}", "nano_usd", "month", c.scope, c.start, c.end), None, 1) for n, c in enumerate(counters)
    )
    entry = Entry("", team="research", user="someone", model="gpt-4.1", input=2000, output=300, nano_usd=6_400_000)
    pieces: dict[str, Iterable[Verb[Any]]] = {
        "an open hold on 1 counter": (Reserve(f"one-{n:08}", four[:1], lease_ms=MONTH) for n in range(MANY)),
        "an open hold on 4 counters": (Reserve(f"four-{n:08}", four, lease_ms=MONTH) for n in range(MANY)),
        "an ended hold, 48 hours": (Settle(f"ended-{n:08}") for n in range(MANY)),
        "that and a journal entry": (Settle(f"entry-{n:08}", (Charge(counters[0], 1),), entry) for n in range(MANY)),
    }
    print()
    for name, verbs in pieces.items():
        before = used(client)
        pour(client, verbs, Upkeep())
        print(f"{name:32} {(used(client) - before) / MANY:8,.0f} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teams", default="10,1000,100000,1000000")
    parser.add_argument("--ops", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb", ignore_cleanup_errors=True) as folder:
        joined = join(Path(folder) / "data")
        grow(joined.url, [int(size) for size in options.teams.split(",")], options.ops)
        joined.close()


if __name__ == "__main__":
    main()
