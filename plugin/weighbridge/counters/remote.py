"""Asking a provider what a prompt weighs, as a flow: remembered, governed, retried, and never in the way.

Whatever goes wrong, the offline estimate is given back, and its method says why.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final, Literal

from weighbridge.core.admission import Weighed
from weighbridge.core.errors import Refused
from weighbridge.core.flow import Answered, Flow, Pause, Post, Unanswered, heavy, send
from weighbridge.core.model import Estimate, Parts, RawCall
from weighbridge.counters.line import LONG_REST_MS, Line
from weighbridge.counters.question import Account, Question, Uncountable, Unreadable

When = Literal["never", "undecided", "always"]
"""`counting.remote` of the settings."""
REMEMBERED: Final = 4096
"""Answers kept, the latest."""
INLINE_BYTES: Final = 64 * 1024
"""Requests above this are turned into a question as heavy work."""
BACKOFF_MS: Final = (200, 600)
"""Pauses before the second and the third attempt, where the provider names none."""
AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Answers that may be another a moment later."""
HOPELESS: Final = frozenset({401, 403, 404, 405, 501})
"""Answers that say something of the account or the address, not of the request."""


class _Gone(Exception):
    """No count was to be had; the words say why."""


class Remote:
    """The accounts that may be asked, one line and one memory for all calls.  Threads may share it."""

    def __init__(
        self,
        accounts: Iterable[Account],
        clock: Callable[[], int],
        *,
        when: Literal["undecided", "always"] = "undecided",
        patience: float = 2.0,
    ) -> None:
        self.when = when
        """`undecided`: only where a limit lies inside the estimate's uncertainty."""
        self._accounts: Mapping[str, Account] = {account.provider: account for account in accounts}
        self._lines = {name: Line(clock, account.per_minute) for name, account in self._accounts.items()}
        self._clock = clock
        self._patience_ms = int(patience * 1000)
        self._answers: OrderedDict[bytes, int] = OrderedDict()

    def asking(self, raw: RawCall, weighed: Weighed) -> Flow[Estimate]:
        """The provider's count of a request; where there is none, the estimate as it was, with the reason."""
        estimate = weighed.estimate
        try:
            account = self._account(weighed)
            question, key = yield from self._question(account, raw, weighed)
            tokens = yield from self._answer(account, question, key)
        except _Gone as gone:
            return replace(estimate, method=f"{estimate.method}; offline: {weighed.provider or 'provider'} {gone}")
        return Estimate(tokens, tokens + question.more, account.api.method, _shared(estimate.parts, tokens))

    def _account(self, weighed: Weighed) -> Account:
        """Whom to ask about a call.  Raises _Gone."""
        account = self._accounts.get(weighed.provider)
        if account is None:
            raise _Gone("was not asked (it has no counter, or its key is not set)")
        if weighed.call.dialect not in account.api.dialects:
            raise _Gone(f"was not asked (its counter does not read {weighed.call.dialect})")
        if any(tool.server for tool in weighed.call.tools):
            # They read the prompt again and again, which no counter foresees.
            raise _Gone("was not asked (tools that run at the provider are not counted there)")
        return account

    def _question(self, account: Account, raw: RawCall, weighed: Weighed) -> Flow[tuple[Question, bytes]]:
        """What to ask, and under what its answer is remembered.  Raises _Gone."""

        def work() -> tuple[Question, bytes]:
            question = account.api.question(raw, weighed.call)
            return question, _key(account, question)

        try:
            return work() if len(raw.body) <= INLINE_BYTES else (yield from heavy(work))
        except (Uncountable, Refused) as error:
            raise _Gone(f"was not asked ({error})") from error

    def _answer(self, account: Account, question: Question, key: bytes) -> Flow[int]:
        if (known := self._answers.get(key)) is not None:
            return known
        tokens = yield from self._asked(account, question, self._clock() + self._patience_ms)
        if question.lasting:
            self._answers[key] = tokens
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        return tokens

    def _asked(self, account: Account, question: Question, deadline: int) -> Flow[int]:
        """The count, after as many attempts as there is time for.  Raises _Gone."""
        line = self._lines[account.provider]
        for backoff in (*BACKOFF_MS, None):
            yield from self._turn(line, deadline)
            answer = yield from send(self._post(account, question, deadline))
            if isinstance(answer, Answered) and answer.status == 200:
                line.succeeded()
                return _read(account, answer)
            why, pause = self._turned_down(line, answer, backoff)
            if pause is None or self._clock() + pause >= deadline:
                raise _Gone(why)
            yield Pause(pause / 1000)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _turn(self, line: Line, deadline: int) -> Flow[None]:
        """Wait until the line is free.  Raises _Gone where that is too late."""
        if why := line.closed():
            raise _Gone(f"is not asked for a while ({why})")
        while wait := line.wait_ms():
            if self._clock() + wait >= deadline:
                raise _Gone("was not asked (its questions of this minute are used up)")
            yield Pause(wait / 1000)

    def _post(self, account: Account, question: Question, deadline: int) -> Post:
        name, form = account.api.key
        headers = {"content-type": "application/json", **question.headers, name: form.format(account.key)}
        seconds = max(1, deadline - self._clock()) / 1000
        return Post(account.base_url + question.path, headers, question.body, seconds)

    def _turned_down(self, line: Line, answer: Answered | Unanswered, backoff: int | None) -> tuple[str, int | None]:
        """(why there is no count, milliseconds until it is worth asking again; None: it is not)."""
        if isinstance(answer, Unanswered):
            line.failed(answer.why)
            return f"did not answer ({answer.why})", None if answer.sent else backoff
        why = f"answered {answer.status}"
        if answer.status in HOPELESS:
            line.rest(LONG_REST_MS, why)
        if answer.status not in AGAIN:
            line.succeeded()
            return why, None
        line.failed(why)
        named = _retry_after_ms(answer.headers, self._clock())
        if named is not None:
            line.rest(min(named, LONG_REST_MS), why)
        if answer.headers.get("x-should-retry") == "false" or backoff is None:
            return why, None
        return why, backoff if named is None else max(named, 1)


def _key(account: Account, question: Question) -> bytes:
    digest = hashlib.sha256(f"{account.provider}\0{question.path}\0{sorted(question.headers.items())}\0".encode())
    digest.update(question.body)
    return digest.digest()


def _read(account: Account, answer: Answered) -> int:
    try:
        return account.api.tokens(json.loads(answer.body))
    except (ValueError, RecursionError, Unreadable) as error:
        raise _Gone("gave an answer without a count") from error


def _retry_after_ms(headers: Mapping[str, str], now: int) -> int | None:
    """How long the provider says to wait; None where it does not say."""
    for name, unit in (("retry-after-ms", 1), ("retry-after", 1000)):
        try:
            return max(0, int(float(headers[name]) * unit))
        except (KeyError, ValueError, OverflowError):
            continue
    try:
        return max(0, int(parsedate_to_datetime(headers["retry-after"]).timestamp() * 1000) - now)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _shared(parts: Parts, tokens: int) -> Parts:
    """The parts of the offline estimate, scaled to the provider's sum."""
    names = Parts.__slots__
    old = [getattr(parts, name) for name in names]
    whole = sum(old)
    if not whole:
        return Parts(messages=tokens)
    new = [tokens * part // whole for part in old]
    new[old.index(max(old))] += tokens - sum(new)
    return Parts(**dict(zip(names, new, strict=True)))
