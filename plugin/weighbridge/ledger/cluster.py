"""A cluster: every key lives in one of 16384 slots, and every slot on one node.

The map of slots is asked of any node, and corrected by what nodes answer:

    MOVED         the slot lives elsewhere: ask there, and remember
    ASK           this key has gone ahead of its slot: ask there this once, with ASKING before it
    TRYAGAIN      the keys of the script are on both sides: wait a little
    CLUSTERDOWN, MASTERDOWN, READONLY, LOADING, a broken connection
                  a failover is under way: wait a little, ask another node for the map
"""

from __future__ import annotations

import re
from typing import Any

from redis.crc import key_slot
from redis.exceptions import ClusterDownError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from weighbridge.ledger.address import Node
from weighbridge.ledger.faults import LATE, code_of
from weighbridge.ledger.travel import Ask, Detour, Failure, Trip, passing, rest

MANY = 1000
AGAIN = {"CLUSTERDOWN": MANY, "MASTERDOWN": MANY, "READONLY": MANY, "LOADING": MANY, "TRYAGAIN": MANY}
MOST_HOPS = 5
"""Redirections followed at once; beyond them nodes contradict each other, and time is given."""
_ELSEWHERE = re.compile(r"(\d+) (\S*):(\d+)$")
"""Slot, host and port at the end of a redirection: not every redis-py has an error with fields for it."""


class Sharded:
    """A cluster by some of its nodes.  `patience` is how long one may take to tell the map."""

    def __init__(self, seeds: tuple[Node, ...], patience: float) -> None:
        self._seeds = seeds
        self._patience = patience
        self._ranges: tuple[tuple[int, int, Node], ...] = ()
        self._moved: dict[int, Node] = {}
        self._teller: Node | None = None
        self._stale = True

    def near(self, key: str) -> Node | None:
        """See `Chart`."""
        if self._stale:
            return None
        slot = key_slot(key.encode())
        return self._moved.get(slot) or next((node for a, b, node in self._ranges if a <= slot <= b), None)

    def node(self, key: str) -> Trip[Node]:
        """See `Chart`."""
        if self._stale:
            self._ranges, self._moved = (yield from self._learned()), {}
            self._stale = False
        node = self.near(key)
        if node is None:
            raise ClusterDownError("CLUSTERDOWN Hash slot not served")
        return node

    def nodes(self) -> Trip[tuple[Node, ...]]:
        """See `Chart`."""
        yield from self.node("")
        return tuple(dict.fromkeys(node for _, _, node in self._ranges))

    def after(self, error: Failure, key: str, tries: int) -> Trip[Detour | None]:
        """See `Chart`."""
        code = code_of(error)
        if code in ("MOVED", "ASK") and (elsewhere := _ELSEWHERE.search(str(error))):
            if tries >= MOST_HOPS:
                yield from rest(error, tries)
            slot, host, port = elsewhere.groups()
            return self._redirected(code, int(slot), (host, int(port)))
        again = passing(error, AGAIN, tries)
        self._stale = self._stale or again or isinstance(error, LATE)
        if not again:
            raise error
        yield from rest(error, tries)
        return None

    def _redirected(self, code: str, slot: int, node: Node) -> Detour | None:
        if code == "ASK":
            return node, ("ASKING",)
        self._moved[slot] = node
        return None

    def _learned(self) -> Trip[tuple[tuple[int, int, Node], ...]]:
        """The map, by the first node that tells it."""
        met: list[str] = []
        known = dict.fromkeys([*self._seeds, *(node for _, _, node in self._ranges)])
        # Not the same again: it may be the one that is cut off.
        for node in sorted(known, key=lambda node: node == self._teller):
            try:
                answer = yield Ask(node, ("CLUSTER", "SLOTS"), patience=self._patience)
            except (RedisError, OSError) as error:
                met.append(f"{node[0]}:{node[1]}: {str(error) or type(error).__name__}")
                continue
            if answer:
                self._teller = node
                return tuple((a, b, _place(primary, node)) for a, b, primary, *_ in answer)
            met.append(f"{node[0]}:{node[1]} knows no slots")
        raise RedisConnectionError(f"no node tells of the cluster ({'; '.join(met)})")


def _place(told: list[Any], teller: Node) -> Node:
    """A node as the map has it; without a host it is on the teller's."""
    host, port = told[:2]
    return (host.decode() if host else teller[0]), int(port)
