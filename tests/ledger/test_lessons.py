"""Lessons in the store: rings by topic, told once, and heard of by what changed."""

from __future__ import annotations

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.servers import Server
from ledger.stores import fresh
from weighbridge.core.errors import ConfigError, StoreCorrupt
from weighbridge.core.lessons import KEPT, MOST_TOPICS, PAGE, Learn, Learnt, Note, Record
from weighbridge.ledger import Store
from weighbridge.ledger.memory import MemoryStore
from weighbridge.ledger.redis import RedisStore


def notes(*told: str) -> tuple[Note, ...]:
    """Notes written as "topic id:word"."""
    return tuple(Note(*one.split(" ", 1)) for one in told)


def test_nothing_is_known_at_first(store: Store) -> None:
    assert store.run(Learn()) == Learnt(0, {})


def test_a_note_is_told_to_who_asks_since(store: Store) -> None:
    assert store.run(Learn(notes("a 1:x", "b 2:y", "a 3:z"))) == Learnt(
        3, {"b": Record(1, ("2:y",)), "a": Record(2, ("1:x", "3:z"))}
    )
    assert store.run(Learn(since=2)) == Learnt(3, {"a": Record(2, ("1:x", "3:z"))})
    assert store.run(Learn(since=3)) == Learnt(3, {})
    assert store.run(Learn(notes("c 4:x"), 3)) == Learnt(4, {"c": Record(1, ("4:x",))})


def test_a_note_told_twice_is_one(store: Store) -> None:
    told = notes("a 1:x", "a 12:y")
    store.run(Learn(told))
    assert store.run(Learn(told, 2)) == Learnt(2, {}), "as after an answer that was lost"


def test_a_ring_keeps_the_newest(store: Store) -> None:
    for n in range(KEPT + 3):
        store.run(Learn((Note("a", f"{n}:x"),)))
    [record] = store.run(Learn()).records.values()
    assert record == Record(KEPT + 3, tuple(f"{n}:x" for n in range(3, KEPT + 3)))


def test_many_topics_are_told_in_pages(store: Store) -> None:
    count = PAGE + 5
    store.run(Learn(tuple(Note(f"t{n}", f"{n}:x") for n in range(count))))
    first = store.run(Learn())
    rest = store.run(Learn(since=first.version))
    assert [len(first.records), len(rest.records)] == [PAGE, 5]
    assert {*first.records, *rest.records} == {f"t{n}" for n in range(count)}


def test_the_topic_longest_not_heard_of_goes(store: Store) -> None:
    for start in range(0, MOST_TOPICS, 500):
        store.run(Learn(tuple(Note(f"t{n}", f"{n}:x") for n in range(start, start + 500))))
    store.run(Learn(notes("t0 y:x", "new 1:x")))
    names, version = [], 0
    while told := store.run(Learn(since=version)).records:
        names += told
        version = store.run(Learn(since=version)).version
    assert len(names) == MOST_TOPICS and names[-2:] == ["t0", "new"] and "t1" not in names


def test_a_store_begun_anew_tells_everything(store: Store) -> None:
    store.run(Learn(notes("a 1:x")))
    assert store.run(Learn(since=99)) == Learnt(1, {"a": Record(1, ("1:x",))})


@pytest.mark.parametrize(
    "note", [Note("", "1:x"), Note("a\n", "1:x"), Note("a", "x"), Note("a", "1:x y"), Note("a", "")]
)
def test_what_is_no_note_is_refused_at_the_door(note: Note) -> None:
    with pytest.raises(ConfigError):
        MemoryStore(lambda: 0).run(Learn((note,)))


TOLD = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 70)), max_size=60)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TOLD)
def test_redis_answers_as_memory_does(server: Server, told: list[tuple[str, int, int]]) -> None:
    one, other = MemoryStore(lambda: 0), RedisStore(server.url, prefix=fresh())
    for topic, id, since in told:
        verb = Learn((Note(topic, f"{id}:{since}"),), since)
        assert one.run(verb) == other.run(verb)
    other.close()


def test_a_record_that_is_none_is_begun_anew(server: Server) -> None:
    prefix = fresh()
    client, store = redis.Redis.from_url(server.url), RedisStore(server.url, prefix=prefix)
    store.run(Learn(notes("a 1:x", "b 2:y")))
    client.hset(f"{prefix}:{{0}}:lessons", mapping={"a": "rubbish", "b": ""})
    assert store.run(Learn()).records == {"a": Record(), "b": Record()}
    assert store.run(Learn(notes("a 3:z"), 2)).records == {"a": Record(1, ("3:z",))}
    client.set(f"{prefix}:{{0}}:lessons", "x")
    with pytest.raises(StoreCorrupt):
        store.run(Learn())
    client.close()
    store.close()
