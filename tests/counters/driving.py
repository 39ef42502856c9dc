"""Drives a flow with answers from a list, and a clock that moves only when the flow waits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar

from weighbridge.core.flow import Answered, Flow, Heavy, Pause, Post, Unanswered

T = TypeVar("T")
NOON = 1_790_000_000_000


class Driver:
    """What was posted, how long was waited, and the time."""

    def __init__(self, answers: Iterable[Answered | Unanswered] = ()) -> None:
        self.answers = list(answers)
        self.posts: list[Post] = []
        self.pauses: list[float] = []
        self.now = NOON

    def clock(self) -> int:
        return self.now

    def run(self, flow: Flow[T]) -> T:
        """What the flow returns."""
        try:
            step = next(flow)
            while True:
                step = flow.send(self._do(step))
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _do(self, step: Any) -> Any:
        match step:
            case Pause(seconds):
                self.pauses.append(seconds)
                self.now += int(seconds * 1000)
                return None
            case Heavy(work):
                return work()
            case Post():
                self.posts.append(step)
                return self.answers.pop(0)
            case _:
                raise AssertionError(f"nobody said how to do {step}")


def answered(document: Any, status: int = 200, **headers: str) -> Answered:
    """A provider's answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answered(status, named, json.dumps(document).encode())
