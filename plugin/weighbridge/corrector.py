"""The live corrector of one worker: lends the scale its lines, and collects what settlements say.

Nothing here waits and nothing is asked while a call is weighed.  What was collected goes to the store
behind a settlement, at most once a second or every `BATCH` settlements, and what other workers
learnt comes back with it.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final
from zlib import crc32

from weighbridge.core.admission import Ticket
from weighbridge.core.counting.learner import Learner
from weighbridge.core.counting.lesson import LONGEST_NAME, Seen, Taught, Topic, believable
from weighbridge.core.errors import StoreError
from weighbridge.core.flow import Flow, heavy
from weighbridge.core.lessons import PAGE, Learn, Learnt, Note
from weighbridge.core.model import Ending, Reported

Asking = Callable[[Learn], Flow[Learnt]]
"""Puts the question to the store."""
EVERY_MS: Final = 1000
BATCH: Final = 250
INLINE_TOPICS: Final = 20
"""More lessons at once than this are heard as heavy work."""
MOST_PENDING: Final = 1000
"""Observations kept while the store does not take them; the newest are left out."""


class Corrector:
    """What this worker knows, and what it has still to tell.  `teaches` is False where it is frozen:
    lines stay as they were found."""

    def __init__(self, clock: Callable[[], int], *, teaches: bool = True) -> None:
        self._clock = clock
        self._teaches = teaches
        self._learner = Learner()
        self._lock = Lock()
        self._pending: list[Note] = []
        self._next = 0
        """When the store is asked next."""
        self._settled = False
        """Frozen, with all that was to be found: the store is not asked again."""

    def line(self, topic: Topic) -> Taught:
        """The line for a call of that topic."""
        with self._lock:
            return self._learner.line(topic)

    def note(self, ticket: Ticket, ending: Ending) -> None:
        """Keep what a settled call says, if it says something."""
        basis = ticket.weighed.basis
        if basis is None or not self._teaches or not isinstance(ending, Reported):
            return
        billed, name = ending.usage.input, basis.topic.name
        if not believable(basis.tokens, billed) or len(name) > LONGEST_NAME:
            return
        told = Seen(f"{crc32(ticket.id.encode()):x}", basis.tokens, basis.width, billed, basis.predicted, basis.level)
        with self._lock:
            if len(self._pending) < MOST_PENDING:
                self._pending.append(Note(name, told.word))
            self._learner.hear(name, told)

    def learning(self, asking: Asking) -> Flow[None]:
        """Tell the store what settlements taught, and hear what others learnt, where it is time to."""
        while verb := self.due():
            if not (yield from self._tell(verb, asking)):
                return

    def parting(self, asking: Asking) -> Flow[None]:
        """Tell the store what was not told yet."""
        if verb := self.rest():
            yield from self._tell(verb, asking)

    def _tell(self, verb: Learn, asking: Asking) -> Flow[bool]:
        """Whether the store heard it.  Lessons are no money: one that is lost is not missed."""
        try:
            learnt = yield from asking(verb)
            if len(learnt.records) <= INLINE_TOPICS:
                self.take(learnt)
            else:
                yield from heavy(lambda: self.take(learnt))
        except (StoreError, GeneratorExit) as error:
            self.keep(verb)
            if isinstance(error, GeneratorExit):
                raise
            return False
        return True

    def due(self) -> Learn | None:
        """What the store is to be told and asked now, if anything."""
        waiting = 0 < self._next - self._clock() <= EVERY_MS  # a clock that was put back is no reason to wait
        if self._settled or (waiting and len(self._pending) < BATCH):
            return None
        return self._asking()

    def rest(self) -> Learn | None:
        """What was not told yet, if anything."""
        return self._asking() if self._pending else None

    def _asking(self) -> Learn:
        with self._lock:
            self._next = self._clock() + EVERY_MS
            told, self._pending = tuple(self._pending), []
            return Learn(told, self._learner.version)

    def keep(self, verb: Learn) -> None:
        """Take back what the store did not take."""
        with self._lock:
            self._pending = [*verb.notes, *self._pending][:MOST_PENDING]

    def take(self, learnt: Learnt) -> None:
        """Hear what the store says."""
        with self._lock:
            self._learner.take(learnt)
        more = len(learnt.records) == PAGE
        self._next = 0 if more else self._next
        self._settled = not self._teaches and not more
