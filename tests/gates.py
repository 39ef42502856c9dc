"""A gate under test: a guard of either kind over a memory ledger that can be made to fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from weighbridge.core.admission import Ticket
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Counters, Entries, Entry, Reserve, Settled, Verb
from weighbridge.core.model import Ending, Principal, RawCall
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk
from weighbridge.guard import AsyncGuard, Guard
from weighbridge.hooks import Event
from weighbridge.ledger import Store
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.spool import Spool
from weighbridge.scale import Scale

T = TypeVar("T")
RESEARCH = Principal(team="research")
NOON = 1_790_000_000_000
ROW = {"max_input_tokens": 1000, "max_output_tokens": 100, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}


class Words:
    """A tokenizer that counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class Shaky:
    """A store that is down for the verbs it is told to fail, and may lose the answer after applying."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.down: Callable[[Verb[Any]], bool] = lambda verb: False
        self.loses = False

    def run(self, verb: Verb[T]) -> T:
        if self.down(verb):
            if self.loses:
                self.store.run(verb)
            raise StoreUnavailable("no answer in time")
        return self.store.run(verb)

    def close(self) -> None:
        self.store.close()


class AsyncShaky:
    """The same for event loops."""

    def __init__(self, shaky: Shaky) -> None:
        self.shaky = shaky
        self.hang: asyncio.Event | None = None

    async def run(self, verb: Verb[T]) -> T:
        answer = self.shaky.run(verb)
        if self.hang is not None and isinstance(verb, Reserve):
            await self.hang.wait()
        return answer

    async def close(self) -> None:
        self.shaky.close()


class Gate:
    """One guard under test, driven alike whether it waits or not."""

    def __init__(self, waits: bool, spool: Spool | None = None, store: MemoryStore | None = None, **more: Any) -> None:
        self.clock = Clock()
        self.store = Shaky(store or MemoryStore(self.clock))
        self.events: list[Event] = []
        scale = Scale(Catalogue({"m": ROW}), lambda name: Words(), lambda call: "here")
        self.desk = Desk(scale, self.clock, hooks=[self.events.append], spool=spool, **more)
        self.waits = waits
        self.guard: Any = AsyncGuard(self.desk, AsyncShaky(self.store)) if waits else Guard(self.desk, self.store)

    def do(self, answer: Any) -> Any:
        return asyncio.run(_awaited(answer)) if self.waits else answer

    def open(self, who: Principal = RESEARCH, **body: Any) -> Ticket:
        ticket: Ticket = self.do(self.guard.open(raw(who, **body)))
        return ticket

    def close(self, ticket: Ticket, ending: Ending) -> Settled:
        settled: Settled = self.do(self.guard.close(ticket, ending))
        return settled

    def policies(self, *documents: dict[str, Any], **defaults: Any) -> None:
        policies, default = parse.policies({"policies": documents, "defaults": defaults})
        self.store.run(Put("policies", shelf.write(policies, default)))
        self.clock.now += 1000

    def counters(self) -> list[tuple[str, int, int]]:
        return [(c.policy, s.spent, s.held) for c, s in self.store.store.run(Counters())]


async def _awaited(answer: Awaitable[Any]) -> Any:
    return await answer


def journaled(store: Store, after: str = "") -> list[Entry]:
    """The whole journal behind an entry's cursor, page by page."""
    found: list[Entry] = []
    while page := store.run(Entries(after=after)):
        found += page
        after = page[-1].cursor
    return found


def raw(who: Principal = RESEARCH, **body: Any) -> RawCall:
    request = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 10, **body}
    return RawCall("openai-chat", json.dumps(request).encode(), who)
