"""A worker's corrector: settlements teach, other workers hear, and nobody waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from gates import ROW, Clock, Words
from weighbridge.core.admission import Ticket
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import Refused, StoreUnavailable
from weighbridge.core.ledger import Verb
from weighbridge.core.lessons import PAGE, Learn, Note
from weighbridge.core.model import CutOff, Ending, NeverSent, Principal, RawCall, Reported, Usage
from weighbridge.corrector import BATCH, EVERY_MS, Corrector
from weighbridge.desk import Desk
from weighbridge.guard import Guard
from weighbridge.ledger.memory import MemoryStore
from weighbridge.scale import Scale

T = TypeVar("T")
HIDDEN = 40
"""Tokens this provider adds to every prompt."""


class Watched:
    """A store whose verbs are written down, and which can be down for lessons."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.asked: list[Verb[Any]] = []
        self.down = False

    def run(self, verb: Verb[T]) -> T:
        self.asked.append(verb)
        if self.down and isinstance(verb, Learn):
            raise StoreUnavailable("no answer in time")
        return self.store.run(verb)

    def close(self) -> None:
        self.store.close()

    @property
    def lessons(self) -> list[Learn]:
        """Those that were asked about lessons."""
        return [verb for verb in self.asked if isinstance(verb, Learn)]


class Worker:
    """A guard with a corrector, over a store that others may share."""

    def __init__(self, store: MemoryStore, clock: Clock, **live: Any) -> None:
        self.corrector, self.clock, self.store = Corrector(clock, **live), clock, Watched(store)
        table = Catalogue({"m": {**ROW, "max_input_tokens": 100_000}})
        scale = Scale(table, lambda name: Words(), lambda call: "here", lessons=self.corrector.line)
        self.guard = Guard(Desk(scale, clock, corrector=self.corrector), self.store)

    def open(self, words: int = 20, **more: Any) -> Ticket:
        """A call of so many words."""
        body = {"model": "m", "messages": [{"role": "user", "content": "w " * words}], "max_tokens": 5, **more}
        return self.guard.open(RawCall("openai-chat", json.dumps(body).encode(), Principal()))

    def call(self, words: int = 20, ending: Callable[[int], Ending] | None = None, **more: Any) -> Ticket:
        """A call, opened and closed a second later; billed with the hidden tokens unless `ending` says else."""
        ticket = self.open(words, **more)
        self.clock.now += EVERY_MS + 1
        true = words + HIDDEN + 7
        self.guard.close(ticket, ending(true) if ending else Reported(Usage(input=true, output=1)))
        return ticket


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def worker(store: MemoryStore, clock: Clock) -> Worker:
    return Worker(store, clock)


def test_settlements_correct_the_next_estimates(worker: Worker) -> None:
    first = worker.call(20).weighed.estimate
    worker.call(30)
    learnt = worker.call(50).weighed.estimate
    assert learnt.tokens == 50 + HIDDEN + 7 and learnt.method.startswith("learnt ")
    assert first.tokens < 20 + HIDDEN and not first.method.startswith("learnt ")


def test_another_worker_hears_of_it(worker: Worker, store: MemoryStore, clock: Clock) -> None:
    other = Worker(store, clock)
    assert other.call(20, NeverSent).weighed.estimate.tokens < 20 + HIDDEN, "and it teaches nothing"
    worker.call(20)
    worker.call(30)
    other.call(20, NeverSent)
    assert other.open(50).weighed.estimate.tokens == 50 + HIDDEN + 7
    assert Worker(store, clock).open(60).weighed.estimate.tokens == 60 + HIDDEN + 7, "a new one, at once"


def test_nothing_is_asked_while_a_call_is_weighed(worker: Worker) -> None:
    worker.open()
    before = len(worker.store.lessons)
    worker.clock.now += 10 * EVERY_MS
    worker.open()
    assert len(worker.store.lessons) == before == 1, "once, with the first policies"


def test_notes_go_in_batches(worker: Worker) -> None:
    worker.call()
    before = len(worker.store.lessons)
    tickets = [worker.open() for _ in range(BATCH)]
    for ticket in tickets[:-1]:
        worker.guard.close(ticket, Reported(Usage(input=67)))
    assert len(worker.store.lessons) == before
    worker.guard.close(tickets[-1], Reported(Usage(input=67)))
    assert len(worker.store.lessons[-1].notes) == BATCH


def test_what_is_left_is_told_at_the_end(worker: Worker) -> None:
    worker.call()
    worker.guard.close(worker.open(), Reported(Usage(input=67)))
    worker.guard.shut()
    assert len(worker.store.lessons[-1].notes) == 1


def test_a_settlement_tried_again_teaches_once(worker: Worker, store: MemoryStore) -> None:
    ticket = worker.call()
    worker.clock.now += EVERY_MS + 1
    worker.guard.close(ticket, Reported(Usage(input=67)))
    [record] = store.run(Learn()).records.values()
    assert record.count == 1


SILENT: dict[str, Callable[[int], Ending]] = {
    "cut off": lambda true: CutOff("client gone", Usage(input=true)),
    "never sent": lambda true: NeverSent("refused"),
    "no prompt tokens": lambda true: Reported(Usage(output=3)),
    "absurd": lambda true: Reported(Usage(input=true * 1000)),
}


@pytest.mark.parametrize("ending", SILENT.values(), ids=SILENT)
def test_what_teaches_nothing(worker: Worker, store: MemoryStore, ending: Callable[[int], Ending]) -> None:
    worker.call(ending=ending)
    assert not store.run(Learn()).records


def test_tools_that_run_at_the_provider_teach_nothing(worker: Worker, store: MemoryStore) -> None:
    worker.call(web_search_options={}, tools=[{"type": "web_search"}])
    assert not store.run(Learn()).records


def test_a_store_that_takes_no_lessons_keeps_nobody_from_calling(worker: Worker, store: MemoryStore) -> None:
    worker.store.down = True
    worker.call(20)
    worker.call(30)
    assert not store.run(Learn()).records
    worker.store.down = False
    worker.call(40)
    [record] = store.run(Learn()).records.values()
    assert record.count == 3, "told when it does"


def test_frozen(worker: Worker, store: MemoryStore, clock: Clock) -> None:
    worker.call(20)
    worker.call(30)
    frozen = Worker(store, clock, teaches=False)
    assert frozen.call(50).weighed.estimate.tokens == 50 + HIDDEN + 7
    frozen.call(60, lambda true: Reported(Usage(input=true + 100)))
    frozen.call(60, lambda true: Reported(Usage(input=true + 100)))
    assert frozen.open(60).weighed.estimate.tokens == 60 + HIDDEN + 7
    assert len(frozen.store.lessons) == 1, "heard once, never told"
    assert sum(record.count for record in store.run(Learn()).records.values()) == 2


def test_many_lessons_are_heard_page_by_page(store: MemoryStore, clock: Clock) -> None:
    store.run(Learn(tuple(Note(f'["other","h","m{n}",false,"",false,""]', f"{n}:1:1:1:1:1") for n in range(PAGE + 1))))
    worker = Worker(store, clock, teaches=False)
    worker.open()
    assert [verb.since for verb in worker.store.lessons] == [0, PAGE]


def test_a_limit_is_held_against_what_was_learnt(worker: Worker) -> None:
    worker.open(60_000)
    for words in (200, 300, 400, 500, 600, 700):
        worker.call(words, lambda true: Reported(Usage(input=2 * true)))
    with pytest.raises(Refused) as refused:
        worker.open(60_000)
    assert refused.value.reason == "context_length"


def test_the_first_calls_of_a_burst_teach_each_other(worker: Worker) -> None:
    tickets = [worker.open(words) for words in (20, 30)]
    for ticket, words in zip(tickets, (20, 30), strict=True):
        worker.guard.close(ticket, Reported(Usage(input=words + HIDDEN + 7)))
    assert worker.open(50).weighed.estimate.tokens == 50 + HIDDEN + 7, "before the store has heard of the second"
