from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects.splice import DROP, Changes, keep_items, splice

SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3)
KEYS = st.sampled_from(["a", "b", "c", "ü", '"', "\\"])
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(KEYS, SCALARS, max_size=3)
BLANKS = st.text(alphabet=" \t\r\n", max_size=2)

CASES: list[Any] = [
    pytest.param('{"a":1}', {"a": 2}, '{"a":2}', id="replaced"),
    pytest.param("{}", {"a": 2}, '{"a":2}', id="set in an empty object"),
    pytest.param(' { "b" : 1e5 } ', {"a": 2}, ' {"a":2, "b" : 1e5 } ', id="set beside others"),
    pytest.param('{"a":1.50,"b":2}', {"b": DROP}, '{"a":1.50}', id="last one dropped"),
    pytest.param('{"a":1, "b":2}', {"a": DROP}, '{"b":2}', id="first one dropped"),
    pytest.param('{ "a":1, "b":2 }', {"a": DROP, "b": DROP}, "{  }", id="all dropped"),
    pytest.param('{"a":1}', {"b": DROP}, '{"a":1}', id="absent one dropped"),
    pytest.param('{"a":1}', {"a": DROP, "b": 2}, '{"b":2}', id="one for another"),
    pytest.param('{"o":{"x": 1}}', {("o", "y"): True}, '{"o":{"y":true,"x": 1}}', id="inside, set"),
    pytest.param('{"o":{"x": 1}}', {("o", "x"): 2}, '{"o":{"x": 2}}', id="inside, replaced"),
    pytest.param('{"o":null}', {("o", "x"): 2}, '{"o":{"x":2}}', id="inside null"),
    pytest.param('{"b":0}', {("o", "p", "x"): 2}, '{"o":{"p":{"x":2}},"b":0}', id="inside what was not there"),
    pytest.param('{"\\u0061":1}', {"a": 2}, '{"\\u0061":2}', id="escaped key"),
    pytest.param('{"s":"{\\"a\\":1}","a":1}', {"a": 2}, '{"s":"{\\"a\\":1}","a":2}', id="same words in a text"),
    pytest.param('{"é":"ü€𝄞","a":1}', {"a": 2}, '{"é":"ü€𝄞","a":2}', id="not only ASCII"),
]


@pytest.mark.parametrize(("body", "changes", "expected"), CASES)
def test_only_the_named_members_change(body: str, changes: Changes, expected: str) -> None:
    assert splice(body.encode(), changes).decode() == expected


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An object as somebody else might write it, and what it says."""
    value = draw(st.dictionaries(KEYS, VALUES, max_size=5))
    ascii_only = draw(st.booleans())
    members = []
    for key, inner in value.items():
        blanks = [draw(BLANKS) for _ in range(4)]
        text = json.dumps(inner, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 1])))
        members.append(f"{blanks[0]}{json.dumps(key)}{blanks[1]}:{blanks[2]}{text}{blanks[3]}")
    return draw(BLANKS) + "{" + (",".join(members) or draw(BLANKS)) + "}" + draw(BLANKS), value


CHANGES = st.dictionaries(KEYS, VALUES | st.just(DROP), max_size=4)


@given(bodies(), CHANGES)
def test_the_edited_text_says_what_the_edited_object_says(sent: tuple[str, dict[str, Any]], changes: Changes) -> None:
    body, value = sent
    merged = {**value, **changes}  # type: ignore[dict-item]
    assert json.loads(splice(body.encode(), changes)) == {k: v for k, v in merged.items() if v is not DROP}


@given(bodies(), KEYS, KEYS, SCALARS)
def test_a_member_of_a_member(sent: tuple[str, dict[str, Any]], outer: str, inner: str, new: object) -> None:
    body, value = sent
    before = value.get(outer)
    expected = {**value, outer: {**(before if isinstance(before, dict) else {}), inner: new}}
    assert json.loads(splice(body.encode(), {(outer, inner): new})) == expected


@given(bodies(), KEYS, SCALARS)
def test_the_rest_is_the_same_bytes(sent: tuple[str, dict[str, Any]], key: str, new: object) -> None:
    body, value = sent
    once = splice(body.encode(), {key: new}).decode()
    if key in value:
        # A second, longer value: what stands before and after must be what was sent.
        twice = splice(body.encode(), {key: "x" * 40}).decode()
        mark = twice.index('"' + "x" * 40 + '"')
        assert once.startswith(twice[:mark]) and once.endswith(twice[mark + 42 :])
        assert body.startswith(twice[:mark]) and body.endswith(twice[mark + 42 :])
    else:
        brace = body.index("{") + 1
        added = json.dumps(key) + ":" + json.dumps(new) + ("," if value else "")
        assert once == body[:brace] + added + body[brace:]


@given(st.lists(VALUES, max_size=6), st.frozensets(st.integers(0, 5)))
def test_items_are_kept_as_sent(items: list[Any], keep: frozenset[int]) -> None:
    body = json.dumps({"a": 1, "messages": items, "z": 1.0}, indent=2).encode()
    expected = {"a": 1, "messages": [item for i, item in enumerate(items) if i in keep], "z": 1.0}
    assert json.loads(keep_items(body, "messages", keep)) == expected
