"""The policies in force, as one worker knows them: never older than half a second while the store answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from weighbridge.core.errors import StoreError
from weighbridge.core.flow import Flow
from weighbridge.core.policy import credit, shelf
from weighbridge.core.policy.model import Rules
from weighbridge.core.shelves import Fetch, Version
from weighbridge.outage import Outage, store_down

RULES_MS: Final = 500
"""How old the policies may be before the store is asked for newer ones (promised: one second)."""


class Rulebook:
    """Reads the store's policies and credits where they changed."""

    def __init__(self, clock: Callable[[], int], outage: Outage) -> None:
        self._clock = clock
        self._outage = outage
        self._asked_at = 0
        self.known: Rules | None = None
        """As last read."""

    def reading(self) -> Flow[Rules]:
        """The policies in force.  With the store down, those last read; none ever read: Refused."""
        if self.known is not None and self._clock() - self._asked_at < RULES_MS:
            return self.known
        try:
            self.known = yield from self._read(self.known)
            self._asked_at = self._clock()
        except StoreError as error:
            if self.known is None:
                raise store_down(error) from error
        return self.known

    def _read(self, known: Rules | None) -> Flow[Rules]:
        ask = self._outage.asking
        version = yield from ask(Version("policies"))
        credited = yield from ask(Version("credits"))
        if known is None or version != known.version:
            policies, defaults = shelf.read((yield from ask(Fetch("policies"))))
            known = replace(known or Rules(), policies=policies, defaults=defaults, version=version)
        if credited != known.credits_version:
            credits = credit.read((yield from ask(Fetch("credits"))))
            known = replace(known, credits=credits, credits_version=credited)
        return known
