"""Records the ledger never wrote: each a finding, none an admission, and gone after a repair."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ledger.servers import Server
from ledger.stores import fresh
from ledger.test_audit import CALLS, USD, audited, spend
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.ledger import Counters, Entries, Entry, Hold, Peek, Reserve, Settle, State
from weighbridge.ledger import Store

SPENT, HELD, BASE = f"s:{USD.field}", f"h:{USD.field}", f"b:{USD.field}"
LINE = "9999999999999-1"
Words = tuple[Any, ...]

NUMBERS: dict[str, tuple[Words, str, int, Any]] = {
    "spent is text": (("HSET", "counters", SPENT, "x"), "spent", 70, "x"),
    "spent is empty": (("HSET", "counters", SPENT, ""), "spent", 70, ""),
    "spent is a float": (("HSET", "counters", SPENT, "70.0"), "spent", 70, "70.0"),
    "spent is hex": (("HSET", "counters", SPENT, "0x46"), "spent", 70, "0x46"),
    "spent is no UTF-8": (("HSET", "counters", SPENT, b"\xff\xfe"), "spent", 70, "\udcff\udcfe"),
    "spent is negative": (("HSET", "counters", SPENT, "-70"), "spent", 70, "-70"),
    "spent is huge": (("HSET", "counters", SPENT, str(2**53)), "spent", 70, str(2**53)),
    "spent is lower": (("HINCRBY", "counters", SPENT, -3), "spent", 70, 67),
    "spent is higher": (("HINCRBY", "counters", SPENT, 3), "spent", 70, 73),
    "spent is gone": (("HDEL", "counters", SPENT), "spent", 70, 0),
    "held is text": (("HSET", "counters", HELD, "?"), "held", 100, "?"),
    "held is negative": (("HSET", "counters", HELD, "-1"), "held", 100, "-1"),
    "held is lower": (("HSET", "counters", HELD, "1"), "held", 100, 1),
    "held is gone": (("HDEL", "counters", HELD), "held", 100, 0),
    "base is text": (("HSET", "counters", BASE, "x"), "base", 0, "x"),
}
"""What was done to it -> the number that is wrong, what it must be and what it is."""

RECORDS: dict[str, tuple[list[Words], str, str]] = {
    "a counter of no name": ([("HSET", "counters", "s:what", "1")], "counters", "s:what"),
    "a number of no kind": ([("HSET", "counters", f"z:{USD.field}", "1")], "counters", f"z:{USD.field}"),
    "a history that is text": ([("HSET", "counters", "o:x", "rubbish")], "counters", "o:x"),
    "a history out of order": ([("HSET", "counters", "o:x", "1 5 9 1 8 1")], "counters", "o:x"),
    "a history too full": ([("HSET", "counters", "o:x", "1 5 9 256")], "counters", "o:x"),
    "hold is text": ([("HSET", "holds", "o", "rubbish")], "holds", "o"),
    "hold is empty": ([("HSET", "holds", "o", "")], "holds", "o"),
    "hold of no version": ([("HSET", "holds", "o", "99 open 5 5")], "holds", "o"),
    "hold of no state": ([("HSET", "holds", "o", "1 shut 5 5")], "holds", "o"),
    "hold cut short": ([("HSET", "holds", "o", f"1 open 0 0 {USD.field}")], "holds", "o"),
    "hold of a float": ([("HSET", "holds", "o", f"1 open 0 0 {USD.field} 1.5")], "holds", "o"),
    "hold of a negative amount": ([("HSET", "holds", "o", f"1 open 0 0 {USD.field} -5")], "holds", "o"),
    "hold of a huge amount": ([("HSET", "holds", "o", f"1 open 0 0 {USD.field} {2**60}")], "holds", "o"),
    "a hold without a lease": ([("ZREM", "leases", "o")], "holds", "o"),
    "a hold that never ends": ([("ZADD", "leases", "inf", "o")], "holds", "o"),
    "a lease without a hold": ([("ZADD", "leases", 5, "ghost")], "leases", "ghost"),
    "a lease of an ended hold": ([("ZADD", "leases", 2**44, "settled")], "leases", "settled"),
    "a journal line that is no JSON": ([("XADD", "journal", LINE, "e", "{")], "journal", LINE),
    "a journal line without charges": (
        [("XADD", "journal", LINE, "e", '{"id":"x"}')],
        "journal",
        LINE,
    ),
    "a journal line of a float": (
        [("XADD", "journal", LINE, "e", f'{{"id":"x","charges":[["{USD.field}",1.5]]}}')],
        "journal",
        LINE,
    ),
    "a journal line of another hand": ([("XADD", "journal", LINE, "a", "b", "c", "d")], "journal", LINE),
    "holds of another type": ([("DEL", "holds"), ("SET", "holds", "x")], "holds", ""),
    "leases of another type": ([("DEL", "leases"), ("SET", "leases", "x")], "leases", ""),
    "due of another type": ([("DEL", "due"), ("SET", "due", "x")], "due", ""),
    "counters of another type": ([("DEL", "counters"), ("SET", "counters", "x")], "counters", ""),
    "journal of another type": ([("DEL", "journal"), ("SET", "journal", "x")], "journal", ""),
}
"""What was done -> the book and the name of the record that is found."""


@pytest.fixture
def tampered(opened: Callable[..., Store], server: Server) -> Callable[..., Store]:
    """A store with one settled and one open call, and something done to its keys."""

    def of(*commands: Words) -> Store:
        prefix = fresh()
        store = opened(server.url, prefix=prefix)
        spend(store, "settled")
        spend(store, "o", open=True)
        with server.client() as client:
            for word, key, *rest in commands:
                client.execute_command(word, f"{prefix}:{{0}}:{key}", *rest)
        return store

    return of


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number(tampered: Callable[..., Store], name: str) -> None:
    command, number, expected, found = NUMBERS[name]
    store = tampered(command)
    audit = audited(store)
    assert [(d.counter, d.number, d.expected, d.found) for d in audit.drift] == [(USD.field, number, expected, found)]
    mended = audited(store, repair=True)
    assert mended.drift == audit.drift and (mended.mended, mended.failed) == (1, 0)
    assert audited(store).ok
    assert store.run(Peek((USD, CALLS))) == (State(70, 100), State(0, 100))


@pytest.mark.parametrize("name", RECORDS)
def test_a_record(tampered: Callable[..., Store], name: str) -> None:
    commands, book, record = RECORDS[name]
    store = tampered(*commands)
    audit = audited(store)
    assert [(finding.book, finding.name) for finding in audit.findings] == [(book, record)]
    assert not audit.ok
    mended = audited(store, repair=True)
    assert mended.findings[0] == audit.findings[0] and mended.failed == 0
    again = audited(store)
    assert again.ok, again
    # Every verb works again, and nothing that was spent is forgotten.
    assert store.run(Peek((USD,)))[0].spent == 70
    store.run(Reserve("new", (Hold(USD, 1000, 1),)))
    store.run(Settle("new", (), Entry("new")))
    store.run(Settle("o"))
    store.run(Counters())
    store.run(Entries())
    assert audited(store).ok


@pytest.mark.parametrize("name", [name for name in NUMBERS if isinstance(NUMBERS[name][3], str) and "base" not in name])
def test_no_admission_on_what_cannot_be_read(tampered: Callable[..., Store], name: str) -> None:
    store = tampered(NUMBERS[name][0])
    with pytest.raises(StoreCorrupt, match="audit"):
        store.run(Reserve("n", (Hold(USD, 10**12, 1),)))
    audited(store, repair=True)
    store.run(Reserve("n", (Hold(USD, 171, 1),)))


def test_spending_whose_line_was_lost_is_kept(tampered: Callable[..., Store]) -> None:
    store = tampered(("DEL", "journal"), ("XADD", "journal", "5-1", "e", "{"))
    [drift] = audited(store).drift
    assert (drift.expected, drift.found) == (0, 70)
    audited(store, repair=True)
    assert store.run(Peek((USD,))) == (State(70, 100),)
    assert audited(store).ok


def test_what_is_taken_out_is_kept_aside(opened: Callable[..., Store], server: Server) -> None:
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    spend(store, "o", open=True)
    with server.client() as client:
        client.hset(f"{prefix}:{{0}}:holds", "o", "rubbish")
        client.hset(f"{prefix}:{{0}}:counters", "s:what", "1")
        client.xadd(f"{prefix}:{{0}}:journal", {"e": "{"}, "5-1")
        audited(store, repair=True)
        aside = client.hgetall(f"{prefix}:{{0}}:aside")
    assert aside == {"holds o": "rubbish", "counters s:what": "1", "journal 5-1": "{"}
