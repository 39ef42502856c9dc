"""Forwarding clients compared: the same pass-through, one client each.  `python tests/bench/forwarders.py [--quick]`.

Prints a Markdown table.  A client that is not installed is left out and named.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Final

import rig
from passthrough import CLIENTS

CONNECTIONS: Final = (1, 16, 64)
PACKAGES: Final = {"raw": "httptools"}
"""Package of a client, where it is not called like it."""


def main(quick: bool) -> None:
    """Measure and print."""
    present = [name for name in CLIENTS if find_spec(PACKAGES.get(name, name))]
    cases = [rig.Case(kind, c) for kind in rig.KINDS for c in CONNECTIONS]
    with ExitStack() as running:
        upstream = rig.free_port()
        provider = running.enter_context(rig.server(rig.script("upstream.py", upstream), upstream, core=1))
        targets = [rig.Target("none (load to stand-in)", upstream, provider)]
        for name in present:
            port = rig.free_port()
            command = rig.script("passthrough.py", name, port, upstream)
            targets.append(rig.Target(name, port, running.enter_context(rig.server(command, port, core=0))))
        results = rig.rounds(targets, cases, repeat=2 if quick else 3, seconds=1.0 if quick else 2.0)
    for kind in rig.KINDS:
        print(f"\n{rig.TITLES[kind]}\n")
        print(rig.table(("client", *HEAD), [row(results, target.name, kind) for target in targets]))
    print(f"\nNoise between rounds: {rig.noise(results):.0%}.  Not installed: {set(CLIENTS) - set(present) or 'none'}.")


HEAD: Final = ("RPS at c = 1 / 16 / 64", "p50 at c = 1 / 16 / 64 (µs)", "CPU s per 1,000 at c = 1 / 16 / 64", "RSS MB")


def row(results: rig.Results, name: str, kind: rig.Kind) -> tuple[str, ...]:
    """A client's line of the table."""
    samples = [results[name, rig.Case(kind, c)] for c in CONNECTIONS]
    return (
        name,
        " / ".join(f"{rig.middle(s, 'rps'):,.0f}" for s in samples),
        " / ".join(f"{rig.middle(s, 'p50'):,.0f}" for s in samples),
        " / ".join(f"{rig.middle(s, 'cpu'):.3f}" for s in samples),
        f"{rig.middle(samples[-1], 'rss'):.0f}",
    )


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
