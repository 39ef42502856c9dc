"""What weighing costs: `python tests/bench/gateway.py [--quick]`.

Three servers, each one worker on one core: (a) the gateway enforcing (Redis, keys, four policies), (b) the gateway
with nothing to enforce (no keys, no policies), (c) the bare pass-through with the same forwarder.  Load, provider
stand-in and Redis share the other core.  Prints Markdown.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import rig

CONNECTIONS: Final = (1, 16, 64)
ENFORCING: Final = "(a) enforcing: Redis, keys, 4 policies"
WEIGHING: Final = "(b) enforcement off: counts only"
BARE: Final = "(c) bare pass-through, aiohttp"
DIRECT: Final = "none (load straight to the stand-in)"
POLICIES: Final = """\
policies:
  - {name: team-month, match: {team: "*"}, limit: {usd: 1000000}, window: month}
  - {name: user-day, match: {user: "*"}, limit: {tokens: 1000000000000}, window: day}
  - {name: org-hour, match: {org: "*"}, limit: {usd: 1000000}, window: hour}
  - {name: pace, match: {team: "*"}, limit: {requests: 1000000000}, window: minute}
"""
SETTINGS: Final = """\
store: {store}
auth: {auth}
{policies}
providers:
  openai: {{base_url: "http://127.0.0.1:{upstream}", api_key: sk-stand-in}}
"""


def main(quick: bool) -> None:
    """Measure and print."""
    with ExitStack() as running, TemporaryDirectory() as scratch:
        folder = Path(scratch)
        upstream = rig.free_port()
        provider = running.enter_context(rig.server(rig.script("upstream.py", upstream), upstream, core=1))
        store = running.enter_context(rig.redis_server(folder))
        targets = [
            rig.Target(DIRECT, upstream, provider),
            running.enter_context(bare(upstream)),
            running.enter_context(gateway(WEIGHING, folder, "memory://", "none", upstream)),
            running.enter_context(gateway(ENFORCING, folder, store, "keys", upstream)),
        ]
        cases = [rig.Case(kind, c) for kind in rig.KINDS for c in CONNECTIONS]
        results = rig.rounds(targets, cases, repeat=2 if quick else 5, seconds=1.0 if quick else 3.0)
    for kind in rig.KINDS:
        print(f"\n{rig.TITLES[kind]}\n")
        asked = [case for case in cases if case.kind == kind]
        print(rig.table(HEAD, [row(results, target.name, case) for target in targets for case in asked]))
    print(verdict(results))


@contextmanager
def bare(upstream: int) -> Iterator[rig.Target]:
    """The pass-through."""
    port = rig.free_port()
    with rig.server(rig.script("passthrough.py", "aiohttp", port, upstream), port, core=0) as process:
        yield rig.Target(BARE, port, process)


@contextmanager
def gateway(name: str, folder: Path, store: str, auth: str, upstream: int) -> Iterator[rig.Target]:
    """The gateway, as `weighbridge serve` runs it."""
    policies = ""
    if auth == "keys":
        (folder / "policies.yaml").write_text(POLICIES)
        policies = "policies: policies.yaml"
    config = folder / f"{auth}.yaml"
    config.write_text(SETTINGS.format(store=store, auth=auth, policies=policies, upstream=upstream))
    port = rig.free_port()
    with rig.server(weighbridge("serve", "--config", config, "--port", port), port, core=0) as process:
        yield rig.Target(name, port, process, key_header(config) if auth == "keys" else ())


def weighbridge(*arguments: object) -> list[str]:
    """A command line of this environment's weighbridge."""
    return [sys.executable, "-c", "from weighbridge.adapters.cli import main; main()", *map(str, arguments)]


def key_header(config: Path) -> tuple[str, ...]:
    """The header line of a new key."""
    command = weighbridge("key", "create", "--org", "o", "--team", "t", "--user", "u", "--config", config, "--json")
    made = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return (f"authorization: Bearer {json.loads(made.stdout)['key']}",)


HEAD: Final = ("server", "c", "RPS", "p50 (µs)", "p99 (µs)", "added p50", "added p99", "CPU s per 1,000", "RSS MB")


def row(results: rig.Results, name: str, case: rig.Case) -> tuple[str, ...]:
    """A line of the table; what is added is measured from the load without any server between."""
    samples, direct = results[name, case], results[DIRECT, case]
    figures = {what: rig.middle(samples, what) for what in ("rps", "p50", "p99", "cpu", "rss")}
    added = {what: figures[what] - rig.middle(direct, what) for what in ("p50", "p99")}
    return (
        name,
        str(case.connections),
        *(f"{figures[what]:,.0f}" for what in ("rps", "p50", "p99")),
        *("" if name == DIRECT else f"{added[what]:+,.0f}" for what in ("p50", "p99")),
        f"{figures['cpu']:.3f}",
        f"{figures['rss']:.0f}",
    )


def verdict(results: rig.Results) -> str:
    """The aims, and what was measured: half of the pass-through's throughput, 1.5 ms, 150 MB."""
    lines = [f"\nNoise between rounds: {rig.noise(results):.0%}.\n"]
    for c in CONNECTIONS:
        case = rig.Case("json", c)
        share = rig.middle(results[ENFORCING, case], "rps") / rig.middle(results[BARE, case], "rps")
        lines.append(f"Enforcing keeps {share:.0%} of the pass-through's throughput at c = {c} (aim: 50 %).")
    alone = rig.Case("json", 1)
    added = (rig.middle(results[ENFORCING, alone], "p50") - rig.middle(results[BARE, alone], "p50")) / 1000
    lines.append(f"Enforcing adds {added:.2f} ms to the pass-through's p50 at c = 1 (aim: 1.5 ms).")
    memory = max(rig.middle(results[ENFORCING, case], "rss") for name, case in results if name == ENFORCING)
    lines.append(f"Enforcing takes {memory:.0f} MB a worker (aim: 150 MB).")
    return "\n".join(lines)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
