"""The ledger's side of the traffic: what each call was settled with."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic, sleep
from typing import Final

from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Entries, Entry, OpenHolds
from weighbridge.ledger import Store

PATIENCE: Final = 15.0
"""Seconds until every hold must be settled; settling goes on behind the clients' backs."""
PAUSE: Final = 0.02


def settled(store: Store) -> Mapping[int, Entry]:
    """Every settled call by its number, once nothing is held any more."""
    until = monotonic() + PATIENCE
    while store.run(OpenHolds()):
        if monotonic() > until:
            raise StoreUnavailable("some calls of the demo are still held; this should not be, please report it")
        sleep(PAUSE)
    return {int(entry.tags["call"]): entry for entry in store.run(Entries())}
