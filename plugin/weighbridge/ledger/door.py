"""What no ledger takes: refused before a store is asked, with the fix in the message.

A wrong amount is a mistake in a policy, a price or a program, so it is a ConfigError: it never
becomes an admission, and never a figure that Lua's doubles would round.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import LARGEST, Charge, Counter, Extend, Hold, Peek, Renew, Reserve, Settle, Verb
from weighbridge.core.lessons import Learn
from weighbridge.core.shelves import Put

WORD = re.compile(r"[0-9A-Za-z_-]{1,64}:[0-9A-Za-z_:-]{1,256}")
LONGEST_ID = 256
LONGEST_HISTORY = 1024
MOST_COUNTERS = 500
MOST_BUCKETS = 100
"""That a rolling window may be kept in."""


def check(verb: Verb[Any]) -> None:
    """Raises ConfigError for a verb with an impossible id, amount or document name."""
    checker = CHECKS.get(type(verb))
    if checker is not None:
        checker(verb)


def _whole(value: object, what: str, counter: Counter | None = None) -> int:
    if type(value) is int and 0 <= value <= LARGEST:
        return value
    where = f"policy {counter.policy!r}: " if counter else ""
    raise ConfigError(f"{where}{what} is {value!r}: give a whole number from 0 to {LARGEST} (money in nano-dollars)")


def _id(value: object) -> None:
    if type(value) is not str or not 0 < len(value) <= LONGEST_ID or not value.isprintable():
        raise ConfigError(f"the hold id is {value!r}: give 1 to {LONGEST_ID} printable characters")


def _now(value: object) -> None:
    if value is not None:
        _whole(value, "the time given")


def _few(many: tuple[Any, ...]) -> None:
    if len(many) > MOST_COUNTERS:
        raise ConfigError(f"a call on {len(many)} counters: let at most {MOST_COUNTERS} policies match one call")


def _counter(counter: Counter) -> None:
    length = counter.end - counter.start
    if counter.span and not (0 < length <= counter.span <= MOST_BUCKETS * length):
        raise ConfigError(
            f"policy {counter.policy!r}: buckets of {length} ms for a window of {counter.span} ms: "
            f"give a bucket from a {MOST_BUCKETS}th of the window to the whole of it"
        )


def _history(name: object) -> None:
    if type(name) is not str or not 0 < len(name) <= LONGEST_HISTORY or not name.isprintable():
        raise ConfigError(f"a history is named {name!r}: give 1 to {LONGEST_HISTORY} printable characters")


def _hold(hold: Hold, want: int) -> None:
    counter = hold.counter
    if counter.span:
        _counter(counter)
    if hold.history != "":
        _history(hold.history)
    if hold.limit is not None:
        _whole(hold.limit, "the limit", counter)
    _whole(hold.fixed, "the fixed amount held", counter)
    _whole(hold.per_output, "the amount per output token", counter)
    _whole(want * hold.per_output, "the amount held for the output, in thousandths,", counter)
    _whole(hold.amount(want), "the amount held", counter)


def _reserve(verb: Reserve) -> None:
    _id(verb.id)
    _now(verb.now)
    _few(verb.holds)
    want = _whole(verb.want, "the output wanted")
    if _whole(verb.least, "the least output") > want:
        raise ConfigError(f"the least output ({verb.least}) is more than the output wanted ({want}): lower it")
    _lease(verb.lease_ms)
    for hold in verb.holds:
        _hold(hold, want)


def _lease(lease_ms: object) -> None:
    if _whole(lease_ms, "the lease in milliseconds") == 0:
        raise ConfigError("the lease is 0 ms: give a positive time")


def _extend(verb: Extend) -> None:
    _id(verb.id)
    _now(verb.now)
    _few(verb.holds)
    units = _whole(verb.units, "the output to cover")
    for hold in verb.holds:
        _hold(hold, units)


def _charge(charge: Charge) -> None:
    if charge.counter.span:
        _counter(charge.counter)
    _whole(charge.amount, "the amount charged", charge.counter)


def _settle(verb: Settle) -> None:
    _id(verb.id)
    _now(verb.now)
    _few(verb.charges)
    for charge in verb.charges:
        _charge(charge)
    if verb.output is not None:
        _whole(verb.output, "the output to remember")
    _few(verb.histories)
    for name in verb.histories:
        _history(name)


def _renew(verb: Renew) -> None:
    _id(verb.id)
    _now(verb.now)
    _lease(verb.lease_ms)


def _peek(verb: Peek) -> None:
    for counter in verb.counters:
        if counter.span:
            _counter(counter)


def _put(verb: Put) -> None:
    for name in (*verb.documents, *verb.drop):
        if type(name) is not str or not name:
            raise ConfigError(f"a document on the shelf {verb.shelf!r} is named {name!r}: give it a name")


def _learn(verb: Learn) -> None:
    _whole(verb.since, "the version asked about")
    for note in verb.notes:
        if type(note.topic) is not str or not 0 < len(note.topic) <= LONGEST_HISTORY or not note.topic.isprintable():
            raise ConfigError(f"a lesson's topic is {note.topic!r}: give 1 to {LONGEST_HISTORY} printable characters")
        if type(note.word) is not str or not WORD.fullmatch(note.word):
            raise ConfigError(
                f"a lesson is {note.word!r}: give an id, a colon, and letters, digits, colons, minus signs"
            )


CHECKS: Mapping[type, Callable[[Any], None]] = {
    Reserve: _reserve,
    Extend: _extend,
    Settle: _settle,
    Renew: _renew,
    Peek: _peek,
    Put: _put,
    Learn: _learn,
}
