"""Generators driven to their end, with and without `await`: what they yield is done, and what cannot
be done is thrown in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
Errors = tuple[type[BaseException], ...]


def drive(flow: Generator[S, Any, T], do: Callable[[S], Any], errors: Errors) -> T:
    """What the flow answers in the end; `errors` are its own to deal with."""
    try:
        step = next(flow)
        while True:
            try:
                answer = do(step)
            except errors as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def async_drive(flow: Generator[S, Any, T], do: Callable[[S], Awaitable[Any]], errors: Errors) -> T:
    """As `drive`."""
    try:
        step = next(flow)
        while True:
            try:
                answer = await do(step)
            except errors as error:
                step = flow.throw(error)
            else:
                step = flow.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
