"""An error of a script names the key and what is wrong with it, exactly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ledger.servers import Server
from ledger.stores import fresh
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.ledger import Settle
from weighbridge.core.shelves import Fetch, Put
from weighbridge.ledger import Store

SAID = {
    "a hold": (("HSET", "{0}:holds", "o", "rubbish"), Settle("o"), "{0}:holds o is not a hold"),
    "a state": (("HSET", "{0}:holds", "o", "1 shut 5 5"), Settle("o"), "{0}:holds o is not a hold"),
    "a type": (("SET", "{0}:holds", "x"), Settle("o"), "{0}:holds WRONGTYPE"),
    "a bin": (
        ("HSET", "{0}:counters", "o:h", "1 0 x 1"),
        Settle("o", output=1, histories=("h",)),
        "{0}:counters o:h is not an amount",
    ),
    "a count": (
        ("HSET", "{0}:counters", "o:h", "1 0 1 x"),
        Settle("o", output=1, histories=("h",)),
        "{0}:counters o:h is not an amount",
    ),
    "documents": (("SET", "{keys}:policies", "x"), Put("keys", {}), "{keys}:policies WRONGTYPE"),
    "a version's type": (("HSET", "{keys}:policies:version", "a", "b"), Put("keys", {}), "version WRONGTYPE"),
    "a version": (("SET", "{keys}:policies:version", "x"), Put("keys", {}), "{keys}:policies:version is not a"),
}
"""What is broken -> by what, seen by what, and what the error says after the prefix."""


@pytest.mark.parametrize("name", SAID)
def test_the_error_says_which_key(opened: Callable[..., Store], server: Server, name: str) -> None:
    (word, key, *rest), verb, said = SAID[name]
    prefix = fresh()
    store = opened(server.url, prefix=prefix)
    with server.client() as client:
        client.execute_command(word, f"{prefix}:{key}", *rest)
    with pytest.raises(StoreCorrupt) as refused:
        store.run(verb)
    place = f"{prefix}:{said}" if said[0] == "{" else f"{prefix}:{{keys}}:policies:{said}"
    assert str(refused.value).startswith(place)


def test_documents_named_like_values(store: Store) -> None:
    store.run(Put("keys", {"1": "x", "b": 1}))
    assert store.run(Fetch("keys")) == {"1": "x", "b": 1}
