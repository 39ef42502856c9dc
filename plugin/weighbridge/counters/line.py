"""The line to one provider: how often it may be used, and when it is given a rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Final

MINUTE_MS: Final = 60_000
MOST_FAILURES: Final = 5
"""Failures in a row after which the provider is left alone."""
REST_MS: Final = 30_000
LONG_REST_MS: Final = 300_000
"""After an answer that will not change by itself: a wrong key, a provider without such a route."""


class Line:
    """Governor and circuit breaker of one account.  Threads may share it; it never waits.

    At most `per_minute` questions lie in any sixty seconds.  After a rest one failure is enough for
    the next one, so a provider that is down costs one question every half minute.
    """

    def __init__(self, clock: Callable[[], int], per_minute: int | None = None) -> None:
        self._clock = clock
        self._per_minute = per_minute
        self._asked: deque[int] = deque()
        self._failures = 0
        self._resting_until = 0
        self._why = ""
        self._lock = Lock()

    def closed(self) -> str:
        """Why the provider is not asked just now; "" where it may be."""
        return self._why if self._clock() < self._resting_until else ""

    def wait_ms(self) -> int:
        """Milliseconds until the next question may go out; 0: it is counted as asked now."""
        if self._per_minute is None:
            return 0
        with self._lock:
            now = self._clock()
            while self._asked and now - self._asked[0] >= MINUTE_MS:
                self._asked.popleft()
            if len(self._asked) < self._per_minute:
                self._asked.append(now)
                return 0
            return self._asked[0] + MINUTE_MS - now

    def succeeded(self) -> None:
        """An answer came, be it that the question was wrong."""
        self._failures = 0

    def failed(self, why: str) -> None:
        """No answer, or one that says "not now"."""
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            self.rest(REST_MS, why)

    def rest(self, ms: int, why: str) -> None:
        """Ask nothing for so long; a longer rest stands."""
        self._resting_until = max(self._resting_until, self._clock() + ms)
        self._why = why
