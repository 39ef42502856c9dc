"""Holding without HTTP at its edges: what comes too late, twice, from elsewhere or never is told, or charged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import Usage as AnthropicUsage
from google.genai.types import GenerateContentResponse
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion

from gates import Gate, raw
from weighbridge.core.endings import REASONS
from weighbridge.core.ledger import Entries, Entry, OpenHolds
from weighbridge.core.model import RawCall, Usage
from weighbridge.holding import UNREPORTED, Held, async_held, held

ANSWER: dict[str, Any] = {"usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}
WORDS = "the lorry weighs " * 3
SAID = 18
"""Output tokens those words are charged as, where nobody reported."""


@pytest.fixture
def gate() -> Gate:
    return _gate(waits=False)


@pytest.fixture
def async_gate() -> Gate:
    return _gate(waits=True)


def _gate(waits: bool) -> Gate:
    made = Gate(waits)
    made.policies({"name": "p", "limit": {"output_tokens": 500}, "window": "lifetime"})
    return made


def only(gate: Gate) -> Entry:
    """The one settlement there is, with nothing held any more."""
    assert not gate.store.run(OpenHolds())
    (entry,) = gate.store.run(Entries())
    return entry


SDKS: dict[str, tuple[str, Callable[[], Any]]] = {
    "openai": ("openai-chat", lambda: ChatCompletion.model_construct(usage=CompletionUsage(**ANSWER["usage"]))),
    "anthropic": ("anthropic-messages",
                  lambda: AnthropicMessage.model_construct(usage=AnthropicUsage(input_tokens=9, output_tokens=3))),
    "google-genai": ("gemini-generate", lambda: GenerateContentResponse.model_validate(
        {"usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3}})),
}  # fmt: skip


@pytest.mark.parametrize(("dialect", "answer"), SDKS.values(), ids=SDKS)
def test_an_sdk_s_own_answer_is_a_report(gate: Gate, dialect: str, answer: Callable[[], Any]) -> None:
    said = [{"parts": [{"text": "hi"}]}] if dialect == "gemini-generate" else []
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "contents": said}
    with gate.guard.hold(RawCall(dialect, json.dumps(body).encode(), model="m")) as ticket:
        ticket.report(answer())
    assert (only(gate).input, only(gate).output) == (9, 3)


def test_a_report_that_comes_too_late_is_an_error(gate: Gate) -> None:
    with gate.guard.hold(raw()) as ticket:
        ticket.report(ANSWER)
    with pytest.raises(RuntimeError, match="inside the block"):
        ticket.report(Usage(input=1, output=1))
    assert only(gate).output == 3


async def test_a_report_that_comes_too_late_is_an_error_async(async_gate: Gate) -> None:
    async with async_gate.guard.hold(raw()) as ticket:
        pass
    with pytest.raises(RuntimeError, match="inside the block"):
        ticket.report(ANSWER)
    assert only(async_gate).ending == f"cut off: {UNREPORTED}{REASONS['nothing']}"


def test_the_last_report_holds(gate: Gate) -> None:
    with gate.guard.hold(raw()) as ticket:
        ticket.report(Usage(input=9, output=1))
        ticket.report(Usage(input=9, output=2))
    assert only(gate).output == 2


def test_a_hold_is_entered_once_at_a_time(gate: Gate) -> None:
    hold = gate.guard.hold(raw())
    with hold as ticket:
        with pytest.raises(RuntimeError, match="make another"), hold:
            pytest.fail("the first one would never be settled")
        ticket.report(ANSWER)
    with hold as again:
        again.unsent()
    assert (only(gate).ending, only(gate).output) == ("reported", 3)


async def test_a_hold_is_entered_once_at_a_time_async(async_gate: Gate) -> None:
    hold = async_gate.guard.hold(raw())
    async with hold as ticket:
        with pytest.raises(RuntimeError, match="make another"):
            await hold.__aenter__()
        ticket.report(ANSWER)
    assert only(async_gate).output == 3


def test_blocks_in_blocks_and_threads_hold_for_themselves(gate: Gate) -> None:
    def ask(output: int) -> None:
        with gate.guard.hold(raw()) as outer, gate.guard.hold(raw()) as inner:
            inner.report(Usage(input=1, output=output))
            outer.report(Usage(input=1, output=output + 10))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(1, 9)))
    assert sorted(entry.output for entry in gate.store.run(Entries())) == [*range(1, 9), *range(11, 19)]
    assert not gate.store.run(OpenHolds())


async def test_a_cancelled_block_is_charged(async_gate: Gate) -> None:
    begun = asyncio.Event()

    async def ask() -> None:
        async with async_gate.guard.hold(raw(max_tokens=50)) as ticket:
            ticket.saw(WORDS)
            begun.set()
            await asyncio.Event().wait()

    asking = asyncio.ensure_future(ask())
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (only(async_gate).ending, only(async_gate).output) == (
        "cut off: CancelledError before anybody reported",
        SAID,
    )


def test_a_generator_holds_while_it_runs(gate: Gate) -> None:
    def words() -> Iterator[str]:
        with gate.guard.hold(raw(max_tokens=50)) as ticket:
            ticket.saw(WORDS)
            yield WORDS
            ticket.report(ANSWER)

    first = words()
    assert next(first) and gate.store.run(OpenHolds())
    first.close()
    assert (only(gate).ending, only(gate).output) == ("cut off: GeneratorExit before anybody reported", SAID)


async def _coroutine(ticket: Held) -> None: ...


def _generator(ticket: Held) -> Iterator[int]:
    yield 1


async def _async_generator(ticket: Held) -> AsyncIterator[int]:
    yield 1


LATER = {
    "coroutine": (held, _coroutine),
    "generator": (held, _generator),
    "async generator": (held, _async_generator),
    "awaited generator": (async_held, _async_generator),
}


@pytest.mark.parametrize(("decorator", "function"), LATER.values(), ids=LATER)
def test_what_runs_after_its_call_is_not_decorated(gate: Gate, decorator: Any, function: Any) -> None:
    """Its hold would have ended, and been charged in full, before it began."""
    with pytest.raises(TypeError, match=function.__name__):
        decorator(gate.guard.hold, raw)(function)
