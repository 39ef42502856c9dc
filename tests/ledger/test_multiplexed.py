"""One connection for many callers: each gets its own reply, however the bytes arrive, or its own error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from ledger.scripted import Answer, Script, Scripted, bulk, many
from weighbridge.core.ledger import Counter, Peek, State
from weighbridge.ledger.address import address_of
from weighbridge.ledger.multiplexed import Link, Links
from weighbridge.ledger.redis import AsyncRedisStore
from weighbridge.ledger.travel import Ask

CALLERS = 12


def numbered(number: int) -> Counter:
    """A counter that says in its name what its state is."""
    return Counter(f"p{number}p", "nano_usd", "lifetime", ())


def pieces(reply: bytes, cuts: list[int]) -> Iterator[bytes]:
    """A reply in pieces."""
    ends = sorted({cut % len(reply) for cut in cuts} | {0})
    yield from (reply[begin:end] for begin, end in zip(ends, [*ends[1:], len(reply)], strict=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), max_size=4), min_size=CALLERS, max_size=CALLERS))
def test_replies_in_any_pieces_reach_their_callers(cuts: list[list[int]]) -> None:
    def script(words: list[bytes]) -> Answer:
        if words[0] == b"INFO":
            return bulk(b"run_id:a")
        number = int(re.search(rb"p(\d+)p", b" ".join(words))[1])  # type: ignore[index]
        if number == 0:
            return b"-NOPERM this user has no permissions\r\n"
        return pieces(many(bulk(b"%d" % number), bulk(b"%d" % (1000 + number))), cuts[number])

    async def scene(url: str) -> None:
        store = AsyncRedisStore(url, deadline=30)
        asked = (store.run(Peek((numbered(number),))) for number in range(CALLERS))
        refused, *answers = await asyncio.gather(*asked, return_exceptions=True)
        await store.close()
        assert "may not run" in str(refused)
        assert answers == [(State(number, 1000 + number),) for number in range(1, CALLERS)]

    server = Scripted(script)
    try:
        asyncio.run(scene(f"redis://127.0.0.1:{server.port}"))
    finally:
        server.close()


@asynccontextmanager
async def linked(script: Script):
    """A link to a server that answers by the script."""
    server = Scripted(lambda words: bulk(b"run_id:a") if words[0] == b"INFO" else script(words))
    links = Links(address_of(f"redis://127.0.0.1:{server.port}"), 30)
    try:
        yield await links.to(Ask(("127.0.0.1", server.port), ()))
    finally:
        await links.close()
        server.close()


async def outcome(link: Link, words: tuple[str, ...], seconds: float) -> str:
    """What came of a call, and how."""
    try:
        return repr(await link.call(words, asyncio.get_running_loop().time() + seconds))
    except (OSError, ResponseError) as error:
        return type(error).__name__


async def test_each_has_a_deadline_of_its_own() -> None:
    async with linked(lambda words: b"+late\r\n" if words[0] == b"LAST" else [b""]) as link:
        ended: list[str] = []

        async def call(name: str, seconds: float) -> None:
            assert await outcome(link, (name,), seconds) == "TimeoutError"
            ended.append(name)

        await asyncio.gather(call("second", 0.1), call("first", 0.01), call("third", 0.2))
        assert ended == ["first", "second", "third"]
        # The first of four replies is for a caller that has gone.
        assert await outcome(link, ("LAST",), 0.1) == "TimeoutError"
        assert link.alive


@pytest.mark.parametrize("said", [None, b"?"], ids=["gone", "no Redis"])
async def test_a_link_that_breaks_is_told_to_all_who_wait(said: bytes | None) -> None:
    async with linked(lambda words: [b""] if words[0] == b"WAIT" else said) as link:
        waiting = [asyncio.ensure_future(outcome(link, (word,), 30)) for word in ("WAIT", "WAIT", "BREAK")]
        assert await asyncio.gather(*waiting) == ["ConnectionError"] * 3
        assert not link.alive
        with pytest.raises(ConnectionError):
            link.call(("PING",), 0)


async def test_a_server_that_says_more_than_was_asked_is_not_asked_again() -> None:
    async with linked(lambda words: b"+one\r\n+two\r\n") as link:
        assert await outcome(link, ("PING",), 30) == repr(b"one")
        assert not link.alive
