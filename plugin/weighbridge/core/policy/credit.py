"""Credits: amounts added to a counter's limit for as long as its window lasts.  Spend is never touched.

A credit names the very counter it is for, so it ends with that counter's window; in a rolling window
it counts as long as the bucket it was given in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.ledger import LARGEST, Counter
from weighbridge.core.policy.model import Credits, Policy


def document(counter: Counter, amount: int, why: str, at: int) -> dict[str, Any]:
    """A credit as the store keeps it; `at` in milliseconds, `amount` in the counter's unit."""
    return {"policy": counter.policy, "counter": counter.field, "amount": amount, "why": why, "at": at}


def read(documents: Mapping[str, Any]) -> Credits:
    """What all credits add up to.  Raises StoreCorrupt for one that was not written by `document`."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for name, credit in documents.items():
        counter, amount = _parsed(name, credit)
        sums[counter.policy][counter.field] += amount
    return sums


def counters(policy: str, credits: Credits) -> tuple[Counter, ...]:
    """The counters of a policy that were credited."""
    return tuple(Counter.parse(field) for field in credits.get(policy, ()))


def over(documents: Mapping[str, Any], now: int) -> tuple[str, ...]:
    """The names of credits whose window is over, and of those that cannot be read."""
    return tuple(name for name, credit in documents.items() if _over(name, credit, now))


def limit(policy: Policy, counter: Counter, credits: Credits) -> int:
    """A counter's limit: the policy's, and what was credited."""
    given = credits.get(policy.name)
    if not given:
        return policy.limit
    return min(LARGEST, policy.limit + sum(given.get(field, 0) for field in _fields(counter)))


@lru_cache(maxsize=4096)
def _fields(counter: Counter) -> tuple[str, ...]:
    """What a credit may be given to and count here: the counter, or any bucket of a rolling window."""
    return tuple(bucket.field for bucket in counter.buckets())


def _parsed(name: str, credit: Any) -> tuple[Counter, int]:
    try:
        counter, amount = Counter.parse(credit["counter"]), credit["amount"]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _corrupt(name) from error
    if type(amount) is not int or not 0 < amount <= LARGEST:
        raise _corrupt(name)
    return counter, amount


def _corrupt(name: str) -> StoreCorrupt:
    fix = "the next `weighbridge budget credit` drops it: give it again"
    return StoreCorrupt(f"credit {name!r} is not one that weighbridge wrote; {fix}")


def _over(name: str, credit: Any, now: int) -> bool:
    """Whether no limit is held against its counter any more."""
    try:
        counter, _ = _parsed(name, credit)
    except StoreCorrupt:
        return True
    return 0 < counter.end + counter.span <= now
