"""The lessons' verbs: their codec for Redis, and the same in memory.

PREFIX:{0}:lessons  :lessons:order    see lua/learn.lua
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.lessons import KEPT, MOST_TOPICS, PAGE, Learn, Learnt, Note, Record
from weighbridge.ledger.commands import Command, Keys, Word, pairs


class Lessons:
    """The records of one process."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._order: dict[str, int] = {}
        """Topic -> the version of its last change; in order of it."""
        self._version = 0

    def learn(self, verb: Learn) -> Learnt:
        """See `Learn`."""
        for note in verb.notes:
            self._add(note)
        since = verb.since if verb.since <= self._version else 0
        changed = [(topic, at) for topic, at in self._order.items() if at > since][:PAGE]
        version = changed[-1][1] if changed else since
        return Learnt(version, {topic: self._records[topic] for topic, _ in changed})

    def _add(self, note: Note) -> None:
        known = self._records.get(note.topic, Record())
        if any(_id(word) == _id(note.word) for word in known.words):
            return
        self._version += 1
        self._records[note.topic] = Record(known.count + 1, (*known.words, note.word)[-KEPT:])
        self._order.pop(note.topic, None)
        self._order[note.topic] = self._version
        if len(self._order) > MOST_TOPICS:
            oldest = next(iter(self._order))
            del self._order[oldest], self._records[oldest]


def _id(word: str) -> str:
    return word.partition(":")[0]


def _keys(prefix: str) -> tuple[str, ...]:
    return Keys(prefix, "0").of("lessons", "lessons:order")


def _learn(verb: Learn, prefix: str) -> Command:
    args: list[Word] = [KEPT, MOST_TOPICS, verb.since, PAGE]
    for note in verb.notes:
        args += (note.topic, note.word)
    return Command("learn", _keys(prefix), tuple(args))


def _learnt(verb: Learn, command: Command, reply: Any) -> Learnt:
    version, *told = reply
    return Learnt(int(version), {topic.decode(): _record(text) for topic, text in pairs(told)})


def _record(text: bytes) -> Record:
    """A record; what cannot be read says nothing."""
    count, *words = text.decode("ascii", "replace").split(" ")
    return Record(int(count), tuple(words)) if count.isascii() and count.isdigit() else Record()


ENCODERS: Mapping[type, Callable[[Any, str], Command]] = {Learn: _learn}
"""By verb: of the verb and the keys' prefix."""

DECODERS: Mapping[type, Callable[[Any, Command, Any], Any]] = {Learn: _learnt}
"""By verb: of the verb, what was sent and the reply."""

ANSWERS: Mapping[type, Callable[[Lessons, Any], Any]] = {Learn: Lessons.learn}
"""By verb: of the records in memory and the verb."""
