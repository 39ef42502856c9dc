"""The server's own order: its append-only file, replayed step by step.

Redis writes what a script changed as one transaction, in the order in which it ran them.  So here
every state that ever was can be looked at, not only those that an observer happens to see.
"""

from __future__ import annotations

import json
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from weighbridge.core.ledger import Counter

Write = Sequence[str]
Fresh = dict[str, set[str]]
"""Ids admitted or extended, with the fields on which."""
LimitOf = Callable[[Counter], int | None]


def transactions(folder: Path) -> Iterator[list[Write]]:
    """What each script (or plain command) wrote, in order."""
    group: list[Write] | None = None
    for file in sorted(folder.rglob("*.aof")):
        if ".base." in file.name:
            continue
        for command in _commands(file.read_bytes()):
            match command[0].upper():
                case "MULTI":
                    group = []
                case "EXEC":
                    yield group or []
                    group = None
                case "SELECT":
                    continue
                case _ if group is None:
                    yield [command]
                case _:
                    group.append(command)


def _commands(data: bytes) -> Iterator[Write]:
    at = 0

    def line() -> bytes:
        nonlocal at
        end = data.index(b"\r\n", at)
        text, at = data[at:end], end + 2
        return text

    while at < len(data):
        words = []
        for _ in range(int(line()[1:])):
            size = int(line()[1:])
            words.append(data[at : at + size].decode())
            at += size + 2
        yield words


@dataclass(slots=True)
class Books:
    """The ledger as the writes make it, beside what it should be."""

    limit_of: LimitOf
    numbers: dict[str, int] = field(default_factory=dict)
    """Counters hash: "s:" or "h:" and a field -> amount."""
    holds: dict[str, dict[str, int]] = field(default_factory=dict)
    """Open holds: id -> field -> amount."""
    held: Tally[str] = field(default_factory=Tally)
    """Sum of open holds by field."""
    spent: Tally[str] = field(default_factory=Tally)
    """Sum of the journal by field."""
    journal: list[str] = field(default_factory=list)
    """Ids, in order."""
    admitted: int = 0
    steps: int = 0
    wrong: list[str] = field(default_factory=list)

    def step(self, writes: list[Write]) -> None:
        """Apply a transaction and look at what it touched."""
        self.steps += 1
        touched: set[str] = set()
        fresh: Fresh = {}
        for command, key, *rest in writes:
            kind = key.rpartition(":")[2]
            if action := ACTIONS.get((command.upper(), kind)):
                action(self, rest, touched, fresh)
        for name in touched:
            for letter, should in (("h", self.held), ("s", self.spent)):
                if self.numbers.get(f"{letter}:{name}", 0) != should[name]:
                    self.wrong.append(f"step {self.steps}: {letter}:{name} is not {should[name]}: {writes}")
        self.admitted += len(fresh)
        for id, names in fresh.items():
            for name in names:
                self._within(id, name)

    def _within(self, id: str, name: str) -> None:
        counter = Counter.parse(name)
        limit = self.limit_of(counter)
        taken = sum(self.numbers.get(f"{kind}:{c.field}", 0) for c in counter.buckets() for kind in "sh")
        if limit is not None and taken > limit:
            self.wrong.append(f"step {self.steps}: {id} was admitted with {taken} of {limit} on {name}")

    def _count(self, rest: Write, touched: set[str], fresh: Fresh) -> None:
        for name, amount in zip(rest[::2], rest[1::2], strict=True):
            if name[:2] in ("s:", "h:"):
                self.numbers[name] = int(amount)
                touched.add(name[2:])

    def _hold(self, rest: Write, touched: set[str], fresh: Fresh) -> None:
        for id, record in zip(rest[::2], rest[1::2], strict=True):
            _, state, *words = record.split(" ")
            # After the output granted come pairs of a counter's field and an amount.
            pairs = words[next((n for n, word in enumerate(words) if "|" in word), len(words)) :]
            before = self.holds.pop(id, {})
            after = dict(zip(pairs[::2], map(int, pairs[1::2]), strict=True)) if state == "open" else {}
            if state == "open":
                self.holds[id] = after
                # An extension is held to the limits of what it adds to.
                fresh[id] = {name for name, amount in after.items() if amount > before.get(name, -1)}
            self.held.subtract(before)
            self.held.update(after)
            touched.update(before, after)

    def _forget_hold(self, rest: Write, touched: set[str], fresh: Fresh) -> None:
        for id in rest:
            if id in self.holds:
                self.wrong.append(f"step {self.steps}: {id} was forgotten while open")

    def _journal(self, rest: Write, touched: set[str], fresh: Fresh) -> None:
        line = json.loads(rest[-1])
        self.journal.append(line["id"])
        for name, amount in line["charges"]:
            self.spent[name] += amount
            touched.add(name)


Action = Callable[[Books, Write, set[str], Fresh], None]
ACTIONS: Mapping[tuple[str, str], Action] = {
    ("HSET", "counters"): Books._count,
    ("HSET", "holds"): Books._hold,
    ("HDEL", "holds"): Books._forget_hold,
    ("XADD", "journal"): Books._journal,
}


def replay(folder: Path, limit_of: LimitOf) -> Books:
    """The books at the end, with everything that was ever wrong in `wrong`."""
    books = Books(limit_of)
    for writes in transactions(folder):
        books.step(writes)
    return books
