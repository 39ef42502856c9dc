"""Eight workers, and what happens to them meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, sleep, time

from ledger.fire import worker
from ledger.fire.plot import LONGEST_LEASE, TEAMS, Terms, counters, limit_of
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Counter, Counters, Entries, Entry, Granted, Hold, OpenHolds, Peek, Reserve, Settle
from weighbridge.ledger import Store

PROCESSES = 8
DEADLINE = 0.5
"""Seconds a worker's verb may take: shorter than many of the pauses."""
LONGEST = 240.0
"""Seconds after which a scene counts as stuck."""
Event = Callable[[], None]


@dataclass(slots=True)
class Scene:
    """Workers at `url` in `folder`, for so many operations together."""

    url: str
    folder: Path
    operations: int
    seed: int = 0
    lives: Tally[int] = field(default_factory=Tally)
    happened: Tally[str] = field(default_factory=Tally)
    _workers: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def budget(self) -> int:
        """A team's limit: a little more than its calls come to, whatever the number of operations."""
        return 300 * self.operations

    def _start(self, slot: int) -> None:
        terms = Terms(
            url=self.url,
            log=str(self.folder / f"worker-{slot}.log"),
            slot=slot,
            life=self.lives[slot],
            operations=self.operations // PROCESSES,
            budget=self.budget,
            asynchronous=slot % 2 == 0,
            deadline=DEADLINE,
        )
        self.lives[slot] += 1
        errors = open(self.folder / f"worker-{slot}.err", "ab")  # noqa: SIM115
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._workers[slot] = subprocess.Popen(
            [sys.executable, worker.__file__, terms.text()], stderr=errors, env=environment
        )
        errors.close()

    def play(self, often: dict[str, Event], once: dict[str, Event]) -> None:
        """Run until every worker is done.  `often`: events at random, any time; `once`: events
        spread evenly over the operations, in their order."""
        for slot in range(PROCESSES):
            self._start(slot)
        dice, waiting, begun = Random(self.seed), dict(once), monotonic()
        events: dict[str, Event] = {"kill -9": lambda: self._kill(dice), **often}
        while running := [slot for slot, process in self._workers.items() if process.poll() is None]:
            assert monotonic() - begun < LONGEST, f"stuck: {running}"
            sleep(dice.random() * 0.3)
            due = 1 - len(waiting) / (len(once) + 1)
            if waiting and self.done() > due * self.operations:
                self._happen(next(iter(waiting)), waiting)
                del waiting[next(iter(waiting))]
            else:
                self._happen(dice.choice(sorted(events)), events)
        assert not waiting, f"over before {sorted(waiting)} happened"
        assert {process.returncode for process in self._workers.values()} == {0}, self.errors()

    def _happen(self, name: str, events: dict[str, Event]) -> None:
        events[name]()
        self.happened[name] += 1

    def _kill(self, dice: Random) -> None:
        slot = dice.randrange(PROCESSES)
        process = self._workers[slot]
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            self._start(slot)

    def stop(self) -> None:
        for process in self._workers.values():
            process.kill()
            process.wait()

    def errors(self) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob("worker-*.err")))

    def said(self) -> Iterator[list[object]]:
        """Every line the workers wrote; one that died may have left half a line."""
        for path in sorted(self.folder.glob("worker-*.log")):
            for line in path.read_text().splitlines():
                if line.endswith("]"):
                    yield json.loads(line)

    def done(self) -> int:
        """Operations so far."""
        return sum(path.read_bytes().count(b'"done"') for path in self.folder.glob("worker-*.log"))

    def limit_of(self, counter: Counter) -> int | None:
        return limit_of(counter, self.budget)


class Observer:
    """Looks again and again: what is held alone may never exceed a limit."""

    def __init__(self, store: Store, scene: Scene) -> None:
        self.looks = 0
        self.wrong: list[str] = []
        self._store = store
        self._scene = scene
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            now = int(time() * 1000)
            watched = tuple(counter for n in range(TEAMS) for counter in counters(f"t{n}", now).values())
            try:
                states = self._store.run(Peek(watched))
            except StoreUnavailable:
                continue
            self.looks += 1
            for counter, state in zip(watched, states, strict=True):
                limit = self._scene.limit_of(counter)
                if limit is not None and state.held > limit:
                    self.wrong.append(f"{state.held} of {limit} held on {counter.field}")

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def entries(store: Store) -> list[Entry]:
    """The whole journal."""
    found: list[Entry] = []
    while page := store.run(Entries(after=found[-1].cursor if found else "")):
        found += page
    return found


def abandon(store: Store, budget: int) -> None:
    """More holds left to expire at once than a verb ends in passing."""
    for number in range(200):
        counter = counters(f"t{number % TEAMS}", 0)["team"]
        hold = Hold(counter, limit_of(counter, budget), 1)
        store.run(Reserve(f"abandoned-{number}", (hold,), lease_ms=LONGEST_LEASE))


def leases_over(store: Store) -> None:
    """Wait until no lease can be open any more, by the leases themselves."""
    last = max((ends for _, ends in store.run(OpenHolds())), default=0)
    assert last < time() * 1000 + 2 * LONGEST_LEASE
    while time() * 1000 <= last:
        sleep(0.05)


def take_all_that_is_left(store: Store, limits: Callable[[Counter], int | None]) -> int:
    """With every lease over, a call for all that is left is admitted, on each counter that has room.
    How many were tried."""
    tried = 0
    for counter, state in store.run(Counters()):
        limit = limits(counter)
        if limit is None or state.spent > limit or counter.end:
            continue  # of windows that ended nothing is left
        tried += 1
        answer = store.run(Reserve(f"all of {counter.field}"[:200], (Hold(counter, limit, limit - state.spent),)))
        assert isinstance(answer, Granted), f"a phantom refusal: {answer} on {counter.field}"
        store.run(Settle(f"all of {counter.field}"[:200]))
    return tried


def nothing_held(store: Store) -> None:
    assert store.run(OpenHolds()) == ()
    assert [counter for counter, state in store.run(Counters()) if state.held] == []


def drift(store: Store, journal: list[Entry]) -> dict[str, int]:
    """Where what is spent is not the sum of the journal: journal less spent, by field."""
    total: Tally[str] = Tally()
    for entry in journal:
        for name, amount in entry.charges:
            total[name] += amount
    total.subtract({counter.field: state.spent for counter, state in store.run(Counters())})
    return {name: missing for name, missing in total.items() if missing}


def unfinished(scene: Scene, journal: list[Entry]) -> dict[str, int]:
    """The most that may be missing on counters in other roots than their journal: the charges of
    settlements whose process died before it was told that all roots had taken them."""
    told = {rest[0] for what, *rest in scene.said() if what == "settled"}
    most: Tally[str] = Tally()
    for entry in journal:
        for name, amount in entry.charges if entry.id not in told else ():
            most[name] += amount
    return most


def settled_exactly_once(scene: Scene, journal: list[Entry]) -> Tally[str]:
    """Every acknowledged settlement is in the journal, none twice; what the workers said, counted."""
    written = Tally(entry.id for entry in journal)
    assert [id for id, count in written.items() if count > 1] == []
    said: Tally[str] = Tally()
    firsts: Tally[str] = Tally()
    units: dict[str, object] = {}
    for what, *rest in scene.said():
        said[" ".join([str(what), *(str(word) for word in rest[1:2] if what in ("reserved", "settled"))])] += 1
        if what == "settled":
            assert written[str(rest[0])] == 1, rest
            firsts[str(rest[0])] += rest[1] != "already"
        elif what == "settled again":
            assert rest[1] in ("already", ""), rest
        elif what == "reserved":
            units[str(rest[0])] = rest[2]
        elif what == "again" and rest[1] == "Granted":
            assert rest[2] == units[str(rest[0])], rest
    assert [id for id, count in firsts.items() if count > 1] == []
    assert set(written) <= {str(rest[0]) for what, *rest in scene.said() if what == "settling"}
    return said
