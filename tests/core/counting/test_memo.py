"""The memo weighs once, forgets in bounds, keeps no text, and changes no estimate of any chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.counting import estimate
from weighbridge.core.counting.memo import remembered
from weighbridge.core.model import Call, Message, Model, OutputSchema, Part, Role, Text, Thinking, Tool, ToolCall
from weighbridge.core.model import ToolResult as Result


class Letters:
    """One token a character; counts how often it is asked."""

    name = "letters"

    def __init__(self) -> None:
        self.asked = 0

    def count(self, text: str) -> int:
        self.asked += 1
        return len(text)


def test_weighed_once() -> None:
    letters = Letters()
    weigh = remembered(letters.count)
    assert [weigh("abc") for _ in range(3)] == [3, 3, 3]
    assert letters.asked == 1


def test_what_is_asked_again_stays() -> None:
    letters = Letters()
    weigh = remembered(letters.count, entries=10)
    for i in range(1000):
        weigh("kept")
        weigh(f"text {i}")
    assert letters.asked == 1001


@given(st.lists(st.text(max_size=5)), st.integers(1, 4))
def test_remembering_changes_no_count(texts: list[str], entries: int) -> None:
    weigh = remembered(len, entries)
    assert [weigh(text) for text in texts] == [len(text) for text in texts]


def test_bounded_and_no_text_is_kept() -> None:
    weigh = remembered(len, entries=10)
    for i in range(1000):
        weigh(f"secret {i}")
    generations = [held for held in _held(weigh) if isinstance(held, dict)]
    assert [len(known) for known in generations] == [10, 10]
    assert all(type(value) is int for known in generations for pair in known.items() for value in pair)


def _held(function: Callable[..., Any]) -> list[Any]:
    """What a function and the functions in it hold on to, each once."""
    found = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    found += [inner for held in found if callable(held) for inner in _held(held)]
    return list({id(held): held for held in found}.values())


def test_room_for_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        remembered(len, 0)


WORDS = st.text("ab 1.\n", max_size=4) | st.sampled_from(["weighed", "AND FOUND WANTING", "12345", "\ud800"])
PARTS: st.SearchStrategy[Part] = st.one_of(
    WORDS.map(Text),
    st.builds(Thinking, WORDS, WORDS),
    st.builds(ToolCall, WORDS, st.sampled_from(["", "{}", '{"kg": 1}']), st.sampled_from(["", "c1"])),
    st.builds(Result, st.lists(WORDS.map(Text), max_size=2).map(tuple), WORDS, st.sampled_from(["", "c1"])),
)
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")
MESSAGES = st.builds(
    Message, st.sampled_from(ROLES), st.lists(PARTS, max_size=3).map(tuple), st.sampled_from(["", "bo"])
)
EDITS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["put", "drop", "replace"]), MESSAGES), max_size=8)
OFFERS = st.builds(
    Call,
    st.sampled_from(["openai-chat", "openai-responses", "anthropic-messages"]),
    st.just("m"),
    tools=st.sampled_from([(), (Tool("weigh", "a lorry", {"type": "object", "properties": {}}),)]),
    schema=st.sampled_from([None, OutputSchema("load", {"type": "object"})]),
)
MODELS = [
    Model("gpt-4o", family="openai"),
    Model("claude-sonnet-4-5", family="anthropic"),
    Model("gemini-2.5-pro", family="gemini"),
    Model("mistral-large", family="other"),
]


@given(st.lists(MESSAGES, max_size=6), EDITS, OFFERS, st.sampled_from(MODELS), st.none() | st.integers(0, 60))
def test_a_chat_edited_anyhow_is_weighed_as_if_for_the_first_time(
    chat: list[Message], edits: list[tuple[int, str, Message]], offer: Call, model: Model, limit: int | None
) -> None:
    letters = Letters()
    for at, what, message in [(0, "", Message("user", ())), *edits]:
        chat[at : at + (what in ("drop", "replace"))] = [message] if what in ("put", "replace") else []
        call = Call(offer.dialect, "m", tuple(chat), offer.tools, schema=offer.schema)
        known = estimate(call, model, letters, limit)
        assert known == estimate(call, model, Letters(), limit)
