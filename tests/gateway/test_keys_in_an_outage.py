"""Whose key is believed while the store does not answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gates import Gate
from weighbridge.adapters.gateway.identity import BELIEVED_MS, KNOWN_MS, Doorkeeper
from weighbridge.core import keys
from weighbridge.core.errors import Refused
from weighbridge.core.model import Principal
from weighbridge.core.shelves import Put
from weighbridge.settings import load

SECRET = keys.PREFIX + "a" * 43


class Door:
    """A doorkeeper at a gate, and one key."""

    def __init__(self) -> None:
        self.gate = Gate(waits=True)
        self.keeper = Doorkeeper(load(store="memory://"), self.gate.guard)
        self.put(2 * BELIEVED_MS)

    def put(self, lasts_ms: int) -> None:
        now = self.gate.clock.now
        document = keys.new_document(id="1", team="research", now=now, expires_at=now + lasts_ms)
        self.gate.store.store.run(Put("keys", {keys.digest(SECRET): document}))

    def revoke(self) -> None:
        self.gate.store.store.run(Put("keys", {}, drop=(keys.digest(SECRET),)))

    def knock(self) -> Principal:
        scope: Any = {"headers": [(b"authorization", f"Bearer {SECRET}".encode())], "query_string": b""}
        return asyncio.run(self.keeper.identify(scope))

    def silence(self) -> None:
        self.gate.store.down = lambda verb: True

    def later(self, ms: int) -> None:
        self.gate.clock.now += ms


def refused(door: Door) -> str:
    with pytest.raises(Refused) as error:
        door.knock()
    return error.value.reason


def test_a_key_that_was_good_stays_good_for_a_while() -> None:
    door = Door()
    assert door.knock().team == "research"
    door.silence()
    door.later(KNOWN_MS)
    assert door.knock().team == "research"
    door.later(BELIEVED_MS)
    assert refused(door) == "store_down"


def test_a_key_nobody_has_seen_is_not() -> None:
    door = Door()
    door.silence()
    assert refused(door) == "store_down"


def test_nor_one_that_was_seen_revoked() -> None:
    door = Door()
    door.knock()
    door.revoke()
    door.later(KNOWN_MS)
    assert refused(door) == "unknown_key"
    door.silence()
    assert refused(door) == "store_down"


def test_an_expired_key_is_expired_in_an_outage_too() -> None:
    door = Door()
    door.put(KNOWN_MS)
    door.knock()
    door.silence()
    door.later(KNOWN_MS + 1)
    assert refused(door) == "unknown_key"
