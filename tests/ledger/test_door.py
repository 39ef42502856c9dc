"""Verbs that no store takes, and that leave nothing behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import (
    LARGEST,
    Charge,
    Counter,
    Counters,
    Extend,
    Hold,
    OpenHolds,
    Peek,
    Renew,
    Reserve,
    Settle,
)
from weighbridge.core.shelves import Put, Version
from weighbridge.ledger import Store

USD = Counter("month", "nano_usd", "month", (), 0, 1000)
SHRED = Counter("calls", "requests", "rolling 1m", (), 0, 10, 60_000)


def one(amount: int, limit: int = 100) -> tuple[Hold, ...]:
    return (Hold(USD, limit, amount),)


WRONG: dict[str, Any] = {
    "negative": Reserve("r", one(-1)),
    "float": Reserve("r", one(1.0)),  # type: ignore[arg-type]
    "nan": Reserve("r", one(float("nan"))),  # type: ignore[arg-type]
    "bool": Reserve("r", one(True)),
    "text": Reserve("r", one("1")),  # type: ignore[arg-type]
    "too large": Reserve("r", one(LARGEST + 1)),
    "limit too large": Reserve("r", one(1, limit=2**53)),
    "limit negative": Reserve("r", one(1, limit=-1)),
    "rate negative": Reserve("r", (Hold(USD, 1, 1, -1),)),
    "product too large": Reserve("r", (Hold(USD, 1, 0, 2**40),), want=2**13),
    "sum too large": Reserve("r", (Hold(USD, 1, LARGEST, 1),), want=1),
    "want negative": Reserve("r", (), want=-1),
    "least above want": Reserve("r", (), want=1, least=2),
    "no lease": Reserve("r", (), lease_ms=0),
    "no id": Reserve("", ()),
    "long id": Reserve("x" * 300, ()),
    "broken id": Reserve("a\nb", ()),
    "clock negative": Reserve("r", (), now=-1),
    "too many": Reserve("r", one(1) * 501),
    "charge negative": Settle("r", (Charge(USD, -1),)),
    "charge float": Settle("r", (Charge(USD, 0.5),)),  # type: ignore[arg-type]
    "charge infinite": Settle("r", (Charge(USD, float("inf")),)),  # type: ignore[arg-type]
    "charge to a bucket too small": Settle("r", (Charge(SHRED, 1),)),
    "hold on a bucket too small": Reserve("r", (Hold(SHRED, 1, 1),)),
    "hold on a bucket of nothing": Reserve("r", (Hold(replace(SHRED, end=0), 1, 1),)),
    "hold on a bucket longer than its window": Reserve("r", (Hold(replace(SHRED, span=1), 1, 1),)),
    "peek into a bucket too small": Peek((SHRED,)),
    "history without end": Reserve("r", (Hold(USD, 1, 1, 1, "h" * 2000),)),
    "history of control characters": Reserve("r", (Hold(USD, 1, 1, 1, "a\nb"),)),
    "history with no name": Settle("r", output=1, histories=("",)),
    "output negative": Settle("r", output=-1, histories=("h",)),
    "output float": Settle("r", output=1.5, histories=("h",)),  # type: ignore[arg-type]
    "cover negative": Extend("r", one(1), -1),
    "cover too much": Extend("r", (Hold(USD, 1, 0, 2**40),), 2**13),
    "cover for nobody": Extend("", one(1), 1),
    "cover for too many": Extend("r", one(1) * 501, 1),
    "cover at no time": Extend("r", one(1), 1, now=-1),
    "renewal for nothing": Renew("r", lease_ms=0),
    "document without a name": Put("keys", {"": 1}),
    "document of no JSON": Put("keys", {"a": {1, 2}}),
    "document of NaN": Put("keys", {"a": float("nan")}),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused_at_the_door(store: Store, name: str) -> None:
    with pytest.raises(ConfigError):
        store.run(WRONG[name])
    assert store.run(Counters()) == ()
    assert store.run(OpenHolds()) == ()
    assert store.run(Version("keys")) == 0
