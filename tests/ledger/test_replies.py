"""Every answer a Redis may give: each has a name, and none is waited for beyond the deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from redis.exceptions import AskError, MovedError, ResponseError

from ledger.scripted import Answer, Scripted, bulk, drip, many, number
from ledger.stores import fresh
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.ledger import Counter, Hold, Peek, Reserve, State
from weighbridge.ledger import Store
from weighbridge.ledger.cluster import Sharded
from weighbridge.ledger.driving import drive

USD = Counter("month", "nano_usd", "lifetime", ())
HOLD = (Hold(USD, 100, 60),)
SHORT = 0.4
GRANTED = many(bulk(b"granted"), number(7), number(5), number(5), many(number(0), number(60)))
Make = Callable[[Callable[[list[bytes]], Answer]], Scripted]


@pytest.fixture
def scripted() -> Iterator[Make]:
    servers: list[Scripted] = []

    def make(script: Callable[[list[bytes]], Answer]) -> Scripted:
        servers.append(Scripted(script))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


ANSWERS: dict[str, tuple[Callable[[], Answer], str]] = {
    "NOSCRIPT": (lambda: b"-NOSCRIPT No matching script.\r\n", "forgot a script"),
    "READONLY": (lambda: b"-READONLY You can't write against a read only replica.\r\n", "read-only replica"),
    "LOADING": (lambda: b"-LOADING Redis is loading the dataset in memory\r\n", "loading"),
    "OOM": (lambda: b"-OOM command not allowed when used memory > 'maxmemory'.\r\n", "memory is full"),
    "MISCONF": (lambda: b"-MISCONF Redis is configured to save RDB snapshots\r\n", "cannot save"),
    "MOVED": (lambda: b"-MOVED 5 127.0.0.1:1\r\n", r"on another node .*redis\+cluster://"),
    "ASK": (lambda: b"-ASK 5 127.0.0.1:1\r\n", r"on another node .*redis\+cluster://"),
    "TRYAGAIN": (lambda: b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", "slots are moving"),
    "CLUSTERDOWN": (lambda: b"-CLUSTERDOWN The cluster is down\r\n", "cluster is down"),
    "MASTERDOWN": (lambda: b"-MASTERDOWN Link with MASTER is down\r\n", "lost its primary"),
    "NOREPLICAS": (lambda: b"-NOREPLICAS Not enough good replicas to write.\r\n", "too few replicas"),
    "BUSY": (lambda: b"-BUSY Redis is busy running a script.\r\n", "busy running a script"),
    "NOPERM": (lambda: b"-NOPERM this user has no permissions\r\n", "may not run"),
    "unheard of": (lambda: b"-WHAT is this\r\n", "refuses: WHAT is this"),
    "no reply": (lambda: [b""], "no answer in time"),
    "half a reply": (lambda: [GRANTED[:20]], "no answer in time"),
    "half a reply, and gone": (lambda: None, "cannot be reached"),
    "a reply that drips": (drip, "no answer in time"),
    "no Redis at all": (lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n", "cannot be reached"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_has_its_name(opened: Callable[..., Store], scripted: Make, name: str) -> None:
    answer, said = ANSWERS[name]
    server = scripted(lambda words: bulk(b"run_id:a") if words[0] == b"INFO" else answer())
    store = opened(f"redis://127.0.0.1:{server.port}", deadline=SHORT)
    with pytest.raises(StoreUnavailable, match=said):
        store.run(Reserve("r", HOLD))


def test_a_server_that_accepts_and_never_answers(opened: Callable[..., Store], scripted: Make) -> None:
    server = scripted(lambda words: [b""])
    with pytest.raises(StoreUnavailable, match="no answer in time"):
        opened(f"redis://127.0.0.1:{server.port}", deadline=SHORT).run(Peek((USD,)))


def test_an_answer_after_the_deadline_answers_nobody_else(opened: Callable[..., Store], scripted: Make) -> None:
    late = iter([[GRANTED[:20]], *[many(bulk(b"3"), bulk(b"4"))] * 5])
    server = scripted(lambda words: bulk(b"") if words[0] == b"INFO" else next(late))
    store = opened(f"redis://127.0.0.1:{server.port}", deadline=SHORT)
    with pytest.raises(StoreUnavailable):
        store.run(Reserve("r", HOLD))
    assert store.run(Peek((USD,))) == (State(3, 4),)


class Nodes:
    """Two scripted nodes of a cluster; the first has all slots in its map."""

    def __init__(self, scripted: Make, first: list[bytes], second: list[bytes]) -> None:
        self.one = scripted(lambda words: self._answer(words, first))
        self.two = scripted(lambda words: self._answer(words, second))
        self.url = f"redis+cluster://127.0.0.1:{self.one.port}"

    def _answer(self, words: list[bytes], said: list[bytes]) -> bytes:
        match words[0]:
            case b"CLUSTER":
                return many(many(number(0), number(16383), many(bulk(b""), number(self.one.port))))
            case b"INFO" | b"ASKING":
                return bulk(b"run_id:a")
        return said.pop(0).replace(b"PORT", str(self.two.port).encode())

    def heard(self, server: Scripted) -> list[bytes]:
        return [words[0] for words in server.heard if words[0] not in (b"INFO", b"CLUSTER")]


MOVED, ASK = b"-MOVED 13907 127.0.0.1:PORT\r\n", b"-ASK 13907 127.0.0.1:PORT\r\n"
AGAIN, DOWN = b"-TRYAGAIN wait\r\n", b"-CLUSTERDOWN wait\r\n"
SCRIPT = b"-NOSCRIPT no\r\n"
WAYS = {
    "moved": ([MOVED], [GRANTED, GRANTED], 1, [b"EVALSHA", b"EVALSHA"]),
    "moved, and unknown there": ([MOVED], [SCRIPT, GRANTED, GRANTED], 1, [b"EVALSHA", b"EVAL", b"EVALSHA"]),
    "gone ahead": ([ASK, GRANTED], [GRANTED], 2, [b"ASKING", b"EVALSHA"]),
    "gone ahead, and unknown there": (
        [ASK, GRANTED], [SCRIPT, GRANTED], 2, [b"ASKING", b"EVALSHA", b"ASKING", b"EVAL"],
    ),
    "on both sides for a while": ([AGAIN, AGAIN, GRANTED, GRANTED], [], 4, []),
    "down for a while": ([DOWN, GRANTED, GRANTED], [], 3, []),
}  # fmt: skip
"""What the first node says and the second; how often the first is asked, and with what the second."""


@pytest.mark.parametrize("name", WAYS)
def test_the_way_through_a_cluster(opened: Callable[..., Store], scripted: Make, name: str) -> None:
    first, second, asked, heard = WAYS[name]
    nodes = Nodes(scripted, list(first), list(second))
    store = opened(nodes.url, deadline=30)
    for id in ("r", "s"):
        assert store.run(Reserve(id, HOLD, want=5, least=5)).units == 5  # type: ignore[union-attr]
    assert len(nodes.heard(nodes.one)) == asked
    assert nodes.heard(nodes.two) == heard


AHEAD = (("there", 7), ("ASKING",))
TOLD = {
    "moved, by name": (MovedError("13907 there:7"), None),
    "moved, by redis-py 5": (ResponseError("MOVED 13907 there:7"), None),
    "gone ahead, by name": (AskError("13907 there:7"), AHEAD),
    "gone ahead, by redis-py 5": (ResponseError("ASK 13907 there:7"), AHEAD),
}


@pytest.mark.parametrize(("error", "detour"), TOLD.values(), ids=TOLD)
def test_a_redirection_by_any_redis_py(error: ResponseError, detour: object) -> None:
    chart = Sharded((("here", 7),), patience=1)
    assert drive(chart.after(error, "key", 0), do=pytest.fail, errors=()) == detour


def test_a_cluster_that_stays_down(opened: Callable[..., Store], scripted: Make) -> None:
    nodes = Nodes(scripted, [DOWN] * 1000, [])
    with pytest.raises(StoreUnavailable, match="cluster is down"):
        opened(nodes.url, deadline=SHORT).run(Reserve("r", HOLD))


def test_sentinels_that_hang_or_know_nothing_are_passed_over(opened: Callable[..., Store], scripted: Make) -> None:
    def primary(words: list[bytes]) -> bytes:
        answers = {b"INFO": bulk(b"run_id:a"), b"ROLE": many(bulk(b"master"), number(0), many())}
        return answers.get(words[0], GRANTED)

    data = scripted(primary)
    named = many(bulk(b"127.0.0.1"), bulk(str(data.port).encode()))
    watchers = [
        scripted(lambda words: [b""]),
        scripted(lambda words: bulk(b"") if words[0] == b"INFO" else b"*-1\r\n"),
        scripted(lambda words: bulk(b"") if words[0] == b"INFO" else named),
    ]
    hosts = ",".join(f"127.0.0.1:{watcher.port}" for watcher in watchers)
    store = opened(f"redis+sentinel://{hosts}/books", deadline=4, prefix=fresh())
    assert store.run(Reserve("r", HOLD, want=5, least=5)).units == 5  # type: ignore[union-attr]
    with pytest.raises(StoreUnavailable, match="watches no 'books'"):
        opened(f"redis+sentinel://127.0.0.1:{watchers[1].port}/books", deadline=SHORT).run(Reserve("r", HOLD))
