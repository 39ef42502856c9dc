"""Holding without HTTP: what a block reports is charged, and what it does not report is charged in full."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.endings import REASONS
from weighbridge.core.errors import Refused
from weighbridge.core.ledger import Entries, Entry, OpenHolds, Renew
from weighbridge.core.model import Principal, RawCall, Usage
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk, Scale
from weighbridge.guard import AsyncGuard, Guard
from weighbridge.holding import UNREPORTED, Held, async_held, held
from weighbridge.ledger.memory import AsyncMemoryStore, MemoryStore

WHOLE = REASONS["nothing"]
NOON = 1_790_000_000_000
ROW = {"max_input_tokens": 1000, "max_output_tokens": 100, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
POLICY = {"name": "all", "match": {"team": "*"}, "limit": {"output_tokens": 500}, "window": "lifetime", "per": ["team"]}
ANSWER = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}


class Words:
    """A tokenizer that counts words."""

    name = "words"

    def count(self, text: str) -> int:
        return len(text.split())


class Seeing(MemoryStore):
    """A store that says which verbs it ran."""

    def __init__(self) -> None:
        super().__init__(lambda: NOON)
        self.verbs: list[Any] = []

    def run(self, verb: Any) -> Any:
        self.verbs.append(verb)
        return super().run(verb)

    def only(self) -> Entry:
        """The one settlement there is, with nothing held any more."""
        assert not self.run(OpenHolds())
        (entry,) = self.run(Entries())
        return entry


@pytest.fixture
def store() -> Seeing:
    made = Seeing()
    made.run(Put("policies", shelf.write(*parse.policies({"policies": [POLICY]}))))
    return made


def desk(lease_ms: int = 120_000) -> Desk:
    scale = Scale(Catalogue({"openai/gpt-4o": ROW}), lambda name: Words(), lambda call: "openai")
    return Desk(scale, lambda: NOON, lease_ms=lease_ms)


@pytest.fixture
def guard(store: Seeing) -> Guard:
    return Guard(desk(), store)


@pytest.fixture
def async_guard(store: Seeing) -> AsyncGuard:
    return AsyncGuard(desk(), AsyncMemoryStore(store))


def call(text: str = "weigh it", most: int = 50, **more: Any) -> RawCall:
    asked = {"model": "gpt-4o", "max_tokens": most, "messages": [{"role": "user", "content": text}], **more}
    return RawCall("openai-chat", json.dumps(asked).encode(), Principal(team="a"))


REPORTS: dict[str, Usage | Mapping[str, Any]] = {"usage": Usage(input=9, output=3), "answer": ANSWER}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_reported(guard: Guard, store: Seeing, report: Any) -> None:
    with guard.hold(call()) as ticket:
        assert store.run(OpenHolds())[0][0] == ticket.id
        ticket.report(report)
    entry = store.only()
    assert (entry.ending, entry.input, entry.output) == ("reported", 9, 3)


async def test_reported_async(async_guard: AsyncGuard, store: Seeing) -> None:
    async with async_guard.hold(call()) as ticket:
        ticket.report(ANSWER)
    assert store.only().output == 3


@pytest.mark.parametrize("stream", [False, True])
def test_not_reported_is_charged_in_full(guard: Guard, store: Seeing, stream: bool) -> None:
    with guard.hold(call(stream=stream)):
        pass
    entry = store.only()
    assert (entry.ending, entry.output) == (f"cut off: {UNREPORTED}{'' if stream else WHOLE}", 50)
    assert entry.input > 0


def _silent(ticket: Held) -> None:
    return


def _saw(ticket: Held) -> None:
    ticket.saw("the lorry weighs " * 3)


def _unsent(ticket: Held) -> None:
    ticket.unsent("nobody picked up")


def _reported(ticket: Held) -> None:
    ticket.unsent()
    ticket.report(ANSWER)


ERRORS = {
    "nothing known": (_silent, (f"cut off: OSError before anybody reported{WHOLE}", 50)),
    "some seen": (_saw, ("cut off: OSError before anybody reported", 18)),
    "reported before": (_reported, ("reported", 3)),
    "never sent": (_unsent, None),
}


@pytest.mark.parametrize(("does", "charged"), ERRORS.values(), ids=ERRORS)
def test_an_error_in_the_block(guard: Guard, store: Seeing, does: Any, charged: Any) -> None:
    with pytest.raises(OSError, match="broken"), guard.hold(call()) as ticket:
        does(ticket)
        raise OSError("broken")
    if charged is None:
        assert not store.run(Entries()) and not store.run(OpenHolds())
    else:
        assert (store.only().ending, store.only().output) == charged


async def test_an_error_in_the_block_async(async_guard: AsyncGuard, store: Seeing) -> None:
    with pytest.raises(OSError, match="broken"):
        async with async_guard.hold(call()) as ticket:
            ticket.unsent()
            raise OSError("broken")
    assert not store.run(Entries()) and not store.run(OpenHolds())


def test_refused_before_the_block(guard: Guard, store: Seeing) -> None:
    with pytest.raises(Refused), guard.hold(call("word " * 2000)):
        pytest.fail("the block must not be entered")
    assert not store.run(Entries())


def test_clamped(guard: Guard) -> None:
    with guard.hold(call(most=90)) as first, guard.hold(call(most=90, n=4)) as second:
        assert (first.max_output, json.loads(first.body)["max_tokens"]) == (None, 90)
        assert first.body == call(most=90).body
        assert second.max_output is None
        with guard.hold(call(most=90)) as third:
            assert (third.max_output, json.loads(third.body)["max_tokens"]) == (50, 50)
            third.unsent()


def test_an_answer_without_usage_is_no_report(guard: Guard, store: Seeing) -> None:
    with guard.hold(call()) as ticket, pytest.raises(ValueError, match="openai-chat"):
        ticket.report({"choices": []})
    assert store.only().ending == f"cut off: {UNREPORTED}{WHOLE}"


def test_decorated(guard: Guard, store: Seeing) -> None:
    @held(guard.hold, call)
    def ask(text: str, *, ticket: Held) -> dict[str, Any]:
        """Asks."""
        return {**ANSWER, "sent": json.loads(ticket.body)["messages"][0]["content"]}

    assert ask("hello")["sent"] == "hello"
    assert (ask.__name__, store.only().ending, store.only().output) == ("ask", "reported", 3)


async def test_decorated_async(async_guard: AsyncGuard, store: Seeing) -> None:
    @async_held(async_guard.hold, call)
    async def ask(text: str, *, ticket: Held) -> str:
        ticket.report(Usage(input=1, output=2))
        return text

    assert await ask("hello") == "hello"
    assert store.only().output == 2


def test_a_long_block_keeps_its_lease(store: Seeing) -> None:
    with Guard(desk(lease_ms=30), store).hold(call()) as ticket:
        while not any(isinstance(verb, Renew) for verb in store.verbs):
            assert store.run(OpenHolds())
        ticket.report(ANSWER)
    assert store.only().ending == "reported"


async def test_a_long_block_keeps_its_lease_async(store: Seeing) -> None:
    async with AsyncGuard(desk(lease_ms=30), AsyncMemoryStore(store)).hold(call()) as ticket:
        while sum(isinstance(verb, Renew) for verb in store.verbs) < 2:
            await asyncio.sleep(0)
        ticket.report(ANSWER)
    assert store.only().ending == "reported"


README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
BLOCKS = [found for found in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "guard.hold" in found]


@pytest.mark.parametrize("block", BLOCKS, ids=["context manager", "decorator"])
def test_the_readme_s_blocks_run(guard: Guard, store: Seeing, block: str) -> None:
    body, sent = call().body, []

    def ask(asked: bytes) -> dict[str, Any]:
        sent.append(json.loads(asked))
        return ANSWER

    names: dict[str, Any] = {"guard": guard, "body": body, "ask": ask}
    exec(compile(block.replace("guard = open_guard(load())", ""), "README.md", "exec"), names)
    assert "answer" not in names or names["answer"]("weigh it") == ANSWER
    assert sent == [json.loads(body)] and store.only().team == "research"
    assert store.only().ending == "reported"
