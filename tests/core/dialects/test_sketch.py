"""A sketch of a body is the same JSON with less text in its giant strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.core.dialects import sketch as module
from weighbridge.core.dialects.sketch import abridged, giants, sketch

BLOCK = 64


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", BLOCK)
    monkeypatch.setattr(module, "MOST_BACKSLASHES", 40)


pieces = st.sampled_from(['"', "\\a", '\\"', "\n", "\x00", "a", "weighed ", "稱", "🚚", "é", *"{},:", "\u2028"])
strings = st.one_of(
    st.text(max_size=5),
    st.lists(pieces, max_size=12).map("".join),
    st.builds(lambda some, times: "".join(some) * times, st.lists(pieces, min_size=1, max_size=6), st.integers(1, 200)),
)
documents = st.recursive(
    st.one_of(strings, st.integers(), st.none(), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(strings, inner, max_size=3)),
    max_leaves=8,
)


def resembles(drawn: Any, real: Any, keep: int) -> bool:
    """Whether one is a sketch of the other."""
    match real:
        case str():
            # A unit of UTF-16 takes six bytes at most.
            return drawn == real or (3 * len(_units(drawn)) >= keep - 50 and _ends(_units(drawn), _units(real)))
        case list():
            return len(drawn) == len(real) and all(map(resembles, drawn, real, [keep] * len(real)))
        case dict():
            pairs = zip(drawn.items(), real.items(), strict=True)
            return all(resembles(k, key, keep) and resembles(v, value, keep) for (k, v), (key, value) in pairs)
        case _:
            return bool(drawn == real)


def _units(text: str) -> bytes:
    """A text in UTF-16, in which a cut may go through a character that was written as two escapes."""
    return text.encode("utf-16-be", "surrogatepass")


def _ends(drawn: bytes, real: bytes) -> bool:
    """Whether a text is the beginning and the end of another."""
    same = next((i for i, (a, b) in enumerate(zip(drawn, real, strict=False)) if a != b), len(drawn))
    return len(drawn) < len(real) and real.endswith(drawn[same:])


@settings(max_examples=400)
@given(documents, st.booleans(), st.sampled_from([BLOCK, 3 * BLOCK]), st.sampled_from([None, 1]))
def test_the_same_with_less_text(document: Any, ascii_only: bool, keep: int, indent: int | None) -> None:
    module.BLOCK, module.MOST_BACKSLASHES = BLOCK, 40
    body = json.dumps({"model": document}, ensure_ascii=ascii_only, indent=indent).encode()
    drawn = sketch(body, giants(body), keep)
    read = json.loads(drawn.decode(errors="strict"))
    if len(set(_keys(read))) == len(set(_keys({"model": document}))):
        assert resembles(read, {"model": document}, keep)


def _keys(value: Any) -> list[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*(value if isinstance(value, dict) else ()), *(key for one in inner for key in _keys(one))]


GIANT = "The lorry was weighed. " * 100


@pytest.mark.parametrize("text", [GIANT, "稱量" * 500, '"quoted"\n' * 300, "\\u0041" * 300])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_a_giant_is_found_and_what_follows_stays(text: str, ascii_only: bool) -> None:
    body = json.dumps({"messages": [text], "model": "m"}, ensure_ascii=ascii_only).encode()
    drawn = json.loads(sketch(body, giants(body), 2 * BLOCK))
    assert drawn["model"] == "m"
    assert 60 <= len(drawn["messages"][0].encode()) < len(text.encode())


def test_small_strings_are_left_alone() -> None:
    body = json.dumps([{"role": "user", "content": "weighed"}] * 500 + list(range(1000))).encode()
    assert giants(body) == []
    assert sketch(body, [], BLOCK) == body


@pytest.mark.parametrize("times", range(30, 200))
def test_runs_of_backslashes_below_the_bound(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    monkeypatch.setattr(module, "BLOCK", 1024)
    monkeypatch.setattr(module, "MOST_BACKSLASHES", 500)
    body = json.dumps(["\\" * times + "a", GIANT, "b"]).encode()
    assert json.loads(sketch(body, giants(body), 1024))[-1] == "b"


MARKS = st.sampled_from(
    ['},{"role":', '"},{"', "},{", '\\"},{\\"role\\":', "} , {", '{"role":"', "]", "weighed ", "\\"]
)
SAID = st.lists(MARKS, max_size=8).map("".join)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": SAID}), min_size=1, max_size=3)
TURNS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": SAID | PARTS}), max_size=12
)


@settings(max_examples=400)
@given(TURNS, TURNS, st.sampled_from([",", ", ", " ,\n"]), st.integers(1, 300), st.booleans())
def test_an_abridged_chat_is_the_same_with_fewer_turns(
    turns: list[Any], elsewhere: list[Any], comma: str, keep: int, nested: bool
) -> None:
    module.BLOCK = 300
    told = {"model": "m", "messages": turns, "tools": [{"type": "function", "examples": elsewhere if nested else []}]}
    body = json.dumps(told, separators=(comma, ":")).encode()
    short = abridged(body, keep)
    assert len(short) <= len(body)
    try:
        read = json.loads(short)
    except ValueError:
        return
    texts = list(_texts(turns) + _texts(elsewhere))
    assert all(texts.pop(texts.index(text)) == text for text in _texts(read["messages"]))


def _texts(turns: list[Any]) -> list[str]:
    contents = [turn["content"] if isinstance(turn["content"], list) else [{"text": turn["content"]}] for turn in turns]
    return [part["text"] for parts in contents for part in parts]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    "content", ["weighed", '"},{"role":"', [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]]
)
def test_a_long_list_is_cut_and_what_is_around_it_stays(content: Any, indent: int | None) -> None:
    module.BLOCK = 2000
    turn = {"role": "user", "content": content}
    told = {"model": "m", "messages": [turn] * 900, "tools": [{"type": "a"}, {"type": "b"}]}
    short = json.loads(abridged(json.dumps(told, indent=indent).encode(), 1000))
    assert (short["model"], short["tools"]) == ("m", told["tools"])
    assert 3 < len(short["messages"]) < 60 and short["messages"][0] == turn


@given(st.binary(max_size=1000))
def test_bytes_that_are_no_json_do_no_harm(body: bytes) -> None:
    module.BLOCK, module.MOST_BACKSLASHES = BLOCK, 40
    assert len(sketch(body, giants(body), BLOCK)) <= len(body)
