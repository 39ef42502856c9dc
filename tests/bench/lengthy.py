"""Chats of many turns and prompts of many megabytes; the same at every run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

from chats import WORDS, words

Chat = list[dict[str, Any]]


def chat(turns: int, words_a_message: int) -> Chat:
    """A chat of so many turns, each a question and an answer."""
    draw = random.Random(1)
    return [
        {"role": role, "content": " ".join(draw.choices(WORDS, k=words_a_message))}
        for _ in range(turns)
        for role in ("user", "assistant")
    ]


def errand(turns: int, words_a_message: int) -> Chat:
    """An agent at work: in each turn a tool is called, and answers."""
    draw, said = random.Random(1), []
    for number in range(turns):
        text = " ".join(draw.choices(WORDS, k=words_a_message))
        arguments = json.dumps({"path": f"src/{draw.choice(WORDS)}.py", "text": text[: len(text) // 2]})
        call = {"id": f"call_{number}", "type": "function", "function": {"name": "edit", "arguments": arguments}}
        said.append({"role": "assistant", "content": text[:80], "tool_calls": [call]})
        said.append({"role": "tool", "tool_call_id": f"call_{number}", "content": text})
    return said


def alone(text: str) -> Chat:
    """A chat of one message."""
    return [{"role": "user", "content": text}]


def many(text: str, size: int) -> Chat:
    """A text as a chat, so many characters a message."""
    cuts = range(0, len(text), size)
    return [{"role": ("user", "assistant")[i % 2], "content": text[at : at + size]} for i, at in enumerate(cuts)]


def giants(size: int) -> Iterator[tuple[str, Chat]]:
    """Prompts whose bodies have about so many bytes."""
    text = words(size)
    yield "words", alone(text)
    yield "blanks", alone(" " * size)
    yield "line breaks", alone("\n" * (size // 2))
    yield "one letter", alone("a" * size)
    yield "non-ASCII, all of it escaped", alone("秤" * (size // 6))
    yield "source code, escaped", alone('def weigh(lorry):\n\treturn "kg\\t" + lorry\n' * (size // 52))
    yield "45,000 messages of words", many(text, 1_060)
    yield "250 messages of words", many(text, 200_000)
