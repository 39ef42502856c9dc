"""`weighbridge replay`: what policies would have done to recorded traffic."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any, Final, TextIO

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, replayed, show, spans, traffic
from weighbridge.core.admission import Ticket, Weighed
from weighbridge.core.errors import Refused
from weighbridge.core.exchanges import read
from weighbridge.core.hindsight import Hindsight, Score, Sent, sent
from weighbridge.core.model import Principal, Reported, Usage
from weighbridge.core.policy import shelf
from weighbridge.core.settlement import settle
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk
from weighbridge.guard import Guard
from weighbridge.hooks import Event, TurnedAway
from weighbridge.ledger.memory import MemoryStore
from weighbridge.settings import read_policies

LEASE_MS: Final = 10**10
"""Longer than any call takes: nobody renews here."""


class Stage:
    """The real desk over a ledger in memory, at the time the rows say."""

    def __init__(self, documents: dict[str, Any], hindsight: Hindsight) -> None:
        self.now = 0
        self.assumed: Counter[str] = Counter()
        """What rows did not say -> how many."""
        self._hindsight = hindsight
        self._weighed: Weighed | None = None
        store = MemoryStore(lambda: self.now)
        store.run(Put("policies", documents))
        ids = count()
        desk = Desk(
            traffic.scale(), lambda: self.now, hooks=(self._hear,), lease_ms=LEASE_MS, ids=lambda: f"row {next(ids)}"
        )
        self._guard = Guard(desk, store)
        self._open: list[tuple[int, int, Ticket, Usage | None]] = []
        self._numbers = count()

    def play(self, row: Sent, at: int, takes: int) -> None:
        """Send a row."""
        self._until(at)
        try:
            ticket = self._guard.open(row.raw)
        except Refused as error:
            self._hindsight.turned_away(row, error, self._weighed, self.now)
            return
        self._hindsight.admitted(ticket)
        heappush(self._open, (self.now + takes, next(self._numbers), ticket, row.usage))

    def end(self) -> None:
        """Let the last calls come to their end."""
        self._until(None)

    def _until(self, at: int | None) -> None:
        """Settle what has ended by then; the clock never goes back."""
        while self._open and (at is None or self._open[0][0] <= at):
            ends, _, ticket, usage = heappop(self._open)
            self.now = max(self.now, ends)
            ending = Reported(usage or Usage(input=ticket.weighed.estimate.tokens))
            states = self._guard.close(ticket, ending).states
            self._hindsight.settled(settle(ticket, ending), states)
        if at is not None:
            self.assumed["late"] += at < self.now
            self.now = max(self.now, at)

    def _hear(self, event: Event) -> None:
        self._weighed = event.weighed if isinstance(event, TurnedAway) else None


@click.command("replay")
@click.argument("file", metavar="TRAFFIC", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-f", "--file", "policies", type=click.File("r", encoding="utf-8"), required=True, metavar="POLICIES")
@click.option("--org", metavar="O", help="Who sends rows that do not say; the same for the next four.")
@click.option("--team", metavar="T")
@click.option("--user", metavar="U")
@click.option("--key", metavar="K")
@options.tags
@click.option("--at", "start", metavar="WHEN", help="When the first row was sent, where rows do not say (now).")
@click.option("--every", metavar="SPAN", default="1s", show_default=True, help="Time between such rows.")
@click.option("--takes", metavar="SPAN", default="0s", show_default=True, help="How long a call is open, unless told.")
@options.as_json
@options.common
def command(file: Path, policies: TextIO, start: str | None, every: str, takes: str, as_json: bool, **who: Any) -> None:
    """What would these policies have done to this traffic?

    TRAFFIC is JSON lines (plain, .gz, .xz), one exchange a row.  Rows may say who sent them (org, team,
    user, key, tags), when (at) and how long they took (duration_ms); they are settled with what they were billed."""
    found, defaults = read_policies(policies.read(), policies.name)
    now = wiring.clock() if start is None else spans.before(start, wiring.clock(), "--at")
    hindsight = Hindsight({policy.name: Score(policy) for policy in found})
    stage = Stage(shelf.write(found, defaults), hindsight)
    step, length = spans.length(every, "--every"), spans.length(takes, "--takes")
    next_at = now
    for row in _rows(file, Principal(**who), hindsight):
        _assume(stage.assumed, row)
        at = next_at if row.at is None else row.at
        stage.play(row, at, length if row.takes is None else row.takes)
        next_at = at + step
    stage.end()
    said = replayed.assumptions(stage.assumed, now, every, takes)
    if as_json:
        show.document(replayed.document(hindsight, said))
    else:
        replayed.tell(hindsight, said)


def _assume(assumed: Counter[str], row: Sent) -> None:
    assumed["nameless"] += not row.named
    assumed["timeless"] += row.at is None
    assumed["unbilled"] += row.usage is None
    assumed["unmeasured"] += row.takes is None


def _rows(path: Path, who: Principal, hindsight: Hindsight) -> Iterator[Sent]:
    """The rows that can be sent; the others are tallied."""
    for line, number in traffic.lines(path, "replaying"):
        hindsight.rows += 1
        try:
            row = json.loads(line)
            exchange = read(row)
            yield sent({"id": f"line {number}", **row}, exchange, who)
        except Refused as error:
            hindsight.failed[error.message] += 1
        except (ValueError, RecursionError):
            hindsight.failed["not JSON"] += 1
