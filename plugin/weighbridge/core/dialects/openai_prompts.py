"""Prompts that are no conversation: a text, a list of texts, token ids, or lists of these."""

from __future__ import annotations

from dataclasses import dataclass

from weighbridge.core.dialects.body import malformed
from weighbridge.core.model import Json, Message, Part, Text


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a completion or an embedding is asked of."""

    messages: tuple[Message, ...]
    inputs: int
    tokens: int
    """Tokens given as ids; they need no counting."""


def prompts(value: Json, param: str) -> Prompts:
    """Raises Refused("malformed") for anything but texts and token ids."""
    if isinstance(value, str):
        return Prompts(_message([Text(value)]), 1, 0)
    if not isinstance(value, list) or not value:
        malformed(f"Invalid '{param}'. Give a string, an array of strings, or an array of token ids.", param)
    if _are_tokens(value):
        return Prompts((), 1, len(value))
    for i, item in enumerate(value):
        if not isinstance(item, str) and not (isinstance(item, list) and item and _are_tokens(item)):
            malformed(f"Invalid '{param}[{i}]'. Give a string or an array of token ids.", f"{param}[{i}]")
    texts: list[Part] = [Text(item) for item in value if isinstance(item, str)]
    return Prompts(_message(texts), len(value), sum(len(item) for item in value if isinstance(item, list)))


def _message(texts: list[Part]) -> tuple[Message, ...]:
    return (Message("user", tuple(texts)),) if texts else ()


def _are_tokens(items: list[Json]) -> bool:
    return all(type(item) is int and item >= 0 for item in items)
