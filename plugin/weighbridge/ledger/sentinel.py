"""A primary that sentinels watch: they say who it is, and it is asked itself before it is believed."""

from __future__ import annotations

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from weighbridge.ledger.address import Node
from weighbridge.ledger.travel import Ask, Detour, Failure, Trip, passing, rest

MANY = 1000
AGAIN = {"READONLY": MANY, "MASTERDOWN": MANY, "LOADING": MANY, "NOREPLICAS": 1}
"""Refusals after which the sentinels are asked again, and how often: a demoted primary, one that came
back, one that is cut off."""


class Watched:
    """The primary of one service.  `patience` is how long one sentinel may take, in seconds."""

    def __init__(self, sentinels: tuple[Node, ...], service: str, patience: float) -> None:
        self._sentinels = sentinels
        self._service = service
        self._patience = patience
        self._primary: Node | None = None

    def near(self, key: str) -> Node | None:
        """See `Chart`."""
        return self._primary

    def node(self, key: str) -> Trip[Node]:
        """See `Chart`."""
        if self._primary is not None:
            return self._primary
        named = yield from self._named()
        if (yield from self._role(named)) != b"master":
            raise ReadOnlyError(f"{named[0]}:{named[1]} is not the primary yet")
        self._primary = named
        return named

    def nodes(self) -> Trip[tuple[Node, ...]]:
        """See `Chart`."""
        return ((yield from self.node("")),)

    def after(self, error: Failure, key: str, tries: int) -> Trip[Detour | None]:
        """See `Chart`."""
        self._primary = None
        if not passing(error, AGAIN, tries):
            raise error
        yield from rest(error, tries)
        return None

    def _named(self) -> Trip[Node]:
        """Who the first sentinel that knows says it is."""
        met: list[str] = []
        for sentinel in self._sentinels:
            asking = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
            try:
                answer = yield Ask(sentinel, asking, watcher=True, patience=self._patience)
            except (RedisError, OSError) as error:
                met.append(str(error) or type(error).__name__)
                continue
            if answer is not None:
                # Those that answer are asked first the next time.
                self._sentinels = (sentinel, *(other for other in self._sentinels if other != sentinel))
                host, port = answer
                return host.decode(), int(port)
            met.append(f"{sentinel[0]}:{sentinel[1]} watches no {self._service!r}")
        raise RedisConnectionError(f"no sentinel knows the primary ({'; '.join(met)})")

    def _role(self, node: Node) -> Trip[bytes]:
        try:
            answer = yield Ask(node, ("ROLE",), patience=self._patience)
        except ResponseError:
            # Not allowed to ask: then the sentinels' word has to do.
            return b"master"
        return bytes(answer[0])
