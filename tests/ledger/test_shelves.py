"""Policies and keys: documents by name, and a version that grows."""

from __future__ import annotations

from weighbridge.core.ledger import Counter, Hold, Peek, Reserve, State
from weighbridge.core.shelves import Fetch, Look, Put, Version
from weighbridge.ledger import Store

USD = Counter("month", "nano_usd", "lifetime", ())


def test_shelves(store: Store) -> None:
    assert store.run(Version("policies")) == 0
    assert store.run(Fetch("policies")) == {}
    assert store.run(Put("policies", {"a": {"limit": 1.5}, "ü": [None, "x"]}, only_if_empty=True)) == 1
    assert store.run(Put("policies", {"b": 1}, only_if_empty=True)) == 1
    assert store.run(Put("policies", {"a": {"limit": 2}}, drop=("ü", "nobody"))) == 2
    assert store.run(Fetch("policies")) == {"a": {"limit": 2}}
    assert store.run(Look("policies", "a")) == {"limit": 2}
    assert store.run(Look("policies", "ü")) is None
    assert store.run(Put("policies", {}, drop=("a",))) == 3
    assert store.run(Put("policies", {"b": 1}, only_if_empty=True)) == 3, "written before, if empty now"
    assert store.run(Version("policies")) == 3
    assert store.run(Version("keys")) == 0


def test_shelves_and_money_keep_apart(store: Store) -> None:
    store.run(Put("keys", {"h": 1, "s": 2}))
    store.run(Reserve("h", (Hold(USD, 100, 1),), now=0))
    assert store.run(Fetch("keys")) == {"h": 1, "s": 2}
    assert store.run(Peek((USD,))) == (State(0, 1),)
