"""The codec between verbs and Redis: pure, no connection, no clock.

    verb -> Command -> (a client) -> reply -> answer

Keys: one root is one slot, so that one script decides all counters of a call.

    PREFIX:{ROOT}:counters  :holds  :leases  :due  :journal     see lua/books.lua
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.history import History, Recall
from weighbridge.core.ledger import (
    LARGEST,
    Charge,
    Counter,
    Counters,
    Ended,
    Entries,
    Extend,
    Granted,
    Hold,
    Moved,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
    Settled,
    Short,
    State,
    Verb,
)
from weighbridge.ledger import lessons, pages, papers
from weighbridge.ledger.commands import Command, Keys, Word, pairs
from weighbridge.ledger.door import check
from weighbridge.ledger.journal import entry_of, entry_text
from weighbridge.ledger.roots import Share, Void
from weighbridge.ledger.upkeep import Upkeep, placed, window

__all__ = ["ROOT", "Command", "Keys", "Wire", "Word"]

ROOT = "0"
"""The root of everything on a single node."""
BESIDES = (b"b:", b"o:")
"""What lies beside what is spent and held: bases and histories."""


class Wire:
    """Verbs in, replies out, for one prefix and terms of upkeep."""

    def __init__(self, prefix: str = "weighbridge", upkeep: Upkeep | None = None) -> None:
        self._prefix = prefix
        self._upkeep = upkeep or Upkeep()
        self._money = cache(lambda root: Keys(prefix, root).of("counters", "holds", "leases", "due", "journal"))

    def encode(self, verb: Verb[Any], root: str = ROOT) -> Command:
        """The command that asks a server for `verb`.  Raises ConfigError at the door."""
        check(verb)
        return ENCODERS[type(verb)](self, verb, root)

    def decode(self, verb: Verb[Any], command: Command, reply: Any) -> Any:
        """The answer in a server's reply.  Raises StoreCorrupt for one that cannot be."""
        try:
            return DECODERS[type(verb)](verb, command, reply)
        except (ValueError, TypeError, IndexError, KeyError) as error:
            raise StoreCorrupt(f"{command.keys[0]} holds what the ledger never wrote: {error}") from error

    def _terms(self, now: int | None) -> tuple[Word, ...]:
        return ("" if now is None else now, self._upkeep.retention_ms, self._upkeep.sweep)

    def _reserve(self, verb: Reserve, root: str) -> Command:
        args = [*self._terms(verb.now), verb.id, verb.want, verb.least, verb.lease_ms, self._upkeep.sweep_short]
        for hold in verb.holds:
            args += _hold_words(hold)
        return Command("reserve", self._money(root)[:4], tuple(args))

    def _extend(self, verb: Extend, root: str) -> Command:
        args = [*self._terms(verb.now), verb.id, verb.units, self._upkeep.sweep_short]
        for hold in verb.holds:
            args += _hold_words(hold)
        return Command("extend", self._money(root)[:4], tuple(args))

    def _settle(self, verb: Settle, root: str) -> Command:
        whole = verb.whole if isinstance(verb, Share) else verb.charges
        entry = "" if verb.entry is None else entry_text(verb.entry, whole)
        output: Word = "" if verb.output is None else verb.output
        upkeep = self._upkeep
        args = [*self._terms(verb.now), verb.id, entry, upkeep.journal_cap, upkeep.fold, output, len(verb.charges)]
        for charge in verb.charges:
            args += _charge_words(charge)
        return Command("settle", self._money(root), (*args, *verb.histories))

    def _renew(self, verb: Renew, root: str) -> Command:
        return Command("renew", self._money(root)[:4], (*self._terms(verb.now), verb.id, verb.lease_ms))

    def _recall(self, verb: Recall, root: str) -> Command:
        key = self._money(root)[0]
        names = [f"o:{hold.history}" for hold in verb.holds if hold.history]
        return Command("", (key,), ("HMGET", key, *(names or [""])))

    def _void(self, verb: Void, root: str) -> Command:
        return Command("void", self._money(root)[:4], (*self._terms(verb.now), verb.id))

    def _peek(self, verb: Peek, root: str) -> Command:
        key = self._money(root)[0]
        fields = [f"{kind}:{name}" for counter in verb.counters for name in window(counter) for kind in "sh"]
        # A command needs a field at least: one that never is stands in for none.
        return Command("", (key,), ("HMGET", key, *(fields or [""])))

    def _counters(self, verb: Counters, root: str) -> Command:
        key = self._money(root)[0]
        return Command("", (key,), ("HGETALL", key))

    def _open_holds(self, verb: OpenHolds, root: str) -> Command:
        key = self._money(root)[2]
        return Command("", (key,), ("ZRANGE", key, 0, -1, "WITHSCORES"))

    def _entries(self, verb: Entries, root: str) -> Command:
        key = self._money(root)[4]
        start = f"({verb.after}" if verb.after else str(verb.since)
        return Command("", (key,), ("XRANGE", key, start, "+", "COUNT", verb.most))


def _hold_words(hold: Hold) -> tuple[Word, ...]:
    counter = hold.counter
    field, purge = placed(counter)
    limit: Word = "" if hold.limit is None else hold.limit
    return (field, limit, hold.fixed, hold.per_output, counter.start, counter.end, purge, hold.history)


def _charge_words(charge: Charge) -> tuple[Word, ...]:
    field, purge = placed(charge.counter)
    return (field, charge.amount, purge)


def _amount(text: bytes | None) -> int:
    if text is None:
        return 0
    if not text.isdigit() or int(text) > LARGEST:
        raise ValueError(f"{text!r} is not an amount")
    return int(text)


def _states(numbers: Sequence[int]) -> tuple[State, ...]:
    return tuple(map(State, numbers[::2], numbers[1::2]))


def _reserved(verb: Reserve | Extend, command: Command, reply: Any) -> Granted | Short | Moved | Ended:
    match reply:
        case [b"granted", int(now), int(units), int(covered), list(states)]:
            return Granted(units, _states(states), now, covered)
        case [b"short", int(now), int(fits), list(lacking), list(states)]:
            return Short(_states(states), tuple(lacking), fits, now)
        case [b"moved", int(now)]:
            return Moved(now)
        case [b"ended", int(now)]:
            return Ended(now)
    raise ValueError(f"the answer {reply!r}")


def _settled(verb: Settle, command: Command, reply: Any) -> Settled:
    how, now, states = reply
    return Settled(how.decode(), now, _states(states))


def _peeked(verb: Peek, command: Command, reply: Any) -> tuple[State, ...]:
    amounts = iter(map(_amount, reply))
    looked = (_states([next(amounts) for _ in range(2 * len(window(counter)))]) for counter in verb.counters)
    return tuple(map(_together, looked))


def _recalled(verb: Recall, command: Command, reply: Any) -> Mapping[str, int]:
    names = [hold.history for hold in verb.holds if hold.history]
    expected = {name: _remembered(text).expected() for name, text in zip(names, reply, strict=False) if text}
    return {name: output for name, output in expected.items() if output is not None}


def _remembered(text: bytes) -> History:
    version, *numbers = map(_amount, text.split())
    if version != 1 or len(numbers) % 2 == 0:
        raise ValueError(f"{text!r} is not a history")
    return History(numbers[0], tuple(zip(numbers[1::2], numbers[2::2], strict=True)))


def _together(states: tuple[State, ...]) -> State:
    spent, held = sum(state.spent for state in states), sum(state.held for state in states)
    return State(min(spent, LARGEST), min(held, LARGEST))


def _counted(verb: Counters, command: Command, reply: Any) -> tuple[tuple[Counter, State], ...]:
    found = {name.decode(): _amount(text) for name, text in pairs(reply) if name[:2] not in BESIDES}
    kept = ((Counter.parse(name), name) for name in sorted({name[2:] for name in found}))
    return tuple(
        (counter, State(found.get(f"s:{name}", 0), found.get(f"h:{name}", 0)))
        for counter, name in kept
        if verb.policy in (None, counter.policy)
    )


def _opened(verb: OpenHolds, command: Command, reply: Any) -> tuple[tuple[str, int], ...]:
    return tuple((name.decode(), int(float(ends))) for name, ends in pairs(reply))


def _journaled(verb: Entries, command: Command, reply: Any) -> tuple[Any, ...]:
    return tuple(entry_of(fields[1], cursor.decode()) for cursor, fields in reply)


def _paper(encode: Callable[[Any, str], Command]) -> Callable[[Wire, Any, str], Command]:
    return lambda wire, verb, root: encode(verb, wire._prefix)


def _page(encode: Callable[[Any, str, Upkeep], Command]) -> Callable[[Wire, Any, str], Command]:
    return lambda wire, verb, root: encode(verb, wire._prefix, wire._upkeep)


ENCODERS: Mapping[type, Callable[[Wire, Any, str], Command]] = {
    Reserve: Wire._reserve,
    Extend: Wire._extend,
    Settle: Wire._settle,
    Share: Wire._settle,
    Void: Wire._void,
    Renew: Wire._renew,
    Peek: Wire._peek,
    Recall: Wire._recall,
    Counters: Wire._counters,
    OpenHolds: Wire._open_holds,
    Entries: Wire._entries,
    **{verb: _paper(encoder) for verb, encoder in {**papers.ENCODERS, **lessons.ENCODERS}.items()},
    **{verb: _page(encoder) for verb, encoder in pages.ENCODERS.items()},
}

DECODERS: Mapping[type, Callable[[Any, Command, Any], Any]] = {
    Reserve: _reserved,
    Extend: _reserved,
    Settle: _settled,
    Share: _settled,
    Void: lambda verb, command, reply: reply == 1,
    Renew: lambda verb, command, reply: reply == 1,
    Peek: _peeked,
    Recall: _recalled,
    Counters: _counted,
    OpenHolds: _opened,
    Entries: _journaled,
    **papers.DECODERS,
    **lessons.DECODERS,
    **pages.DECODERS,
}
