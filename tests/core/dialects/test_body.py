from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects.body import (
    DEEPEST,
    compact,
    decode,
    everywhere,
    expect,
    need,
    objects,
    positive_int,
    rfc3339,
    want,
)
from weighbridge.core.errors import Refused

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

REFUSED = [
    pytest.param(b"", "not valid JSON", id="nothing"),
    pytest.param(b"{", "not valid JSON", id="unfinished"),
    pytest.param(b"{} {}", "not valid JSON", id="two documents"),
    pytest.param(b"\xef\xbb\xbf{}", "not valid JSON", id="byte order mark"),
    pytest.param(b'{"a":"\xff"}', "not valid UTF-8 (byte 6)", id="not UTF-8"),
    pytest.param("{}".encode("utf-16"), "not valid UTF-8", id="UTF-16"),
    pytest.param(b"[]", "an array, not an object", id="array"),
    pytest.param(b"null", "null, not an object", id="null"),
    pytest.param(b"true", "true or false, not an object", id="true"),
    pytest.param(b'{"a":1,"a":2}', '"a" is given twice', id="duplicate key"),
    pytest.param(b'{"x":[{"a":1,"b":0,"a":1}]}', '"a" is given twice', id="duplicate key below"),
    pytest.param(b'{"a":1,"\\u0061":2}', '"a" is given twice', id="duplicate key, escaped"),
    pytest.param(b'{"model":"a","Model":"b"}', '"Model" is read as "model" by some', id="a key in capitals"),
    pytest.param(b'{"max_to\xe2\x84\xaaens":9}', 'is read as "max_tokens" by some', id="a key with a Kelvin sign"),
    pytest.param(b'{"a":NaN}', "NaN is not JSON", id="NaN"),
    pytest.param(b'{"a":-Infinity}', "-Infinity is not JSON", id="Infinity"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", "too many digits", id="absurd integer"),
    pytest.param(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "nested too deeply", id="deep"),
    pytest.param(b'{"a":' + b"[" * 100_000, "nested too deeply", id="very deep"),
    pytest.param(b'{"a":' * 100_000, "nested too deeply", id="very deep objects"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED)
def test_what_is_not_one_object_is_refused_with_the_reason(body: bytes, words: str) -> None:
    with pytest.raises(Refused) as caught:
        decode(body)
    assert caught.value.reason == "malformed"
    assert words in caught.value.message


def test_lone_surrogates_and_ordinary_depth_are_accepted() -> None:
    assert decode(b'{"a":"\\ud800"}') == {"a": "\ud800"}
    levels = DEEPEST - 1
    assert decode(b'{"a":' + b"[" * levels + b"]" * levels + b"}")["a"]


@given(st.binary() | st.text().map(lambda text: text.encode()) | st.text(alphabet='{}[]":,\\u01eN -').map(str.encode))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    try:
        assert isinstance(decode(body), dict)
    except Refused as refused:
        assert refused.reason == "malformed"


@given(st.dictionaries(st.text(), JSON))
def test_every_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert decode(json.dumps(value).encode()) == value


READERS: list[Any] = [
    pytest.param(lambda: want({"a": 1}, "a", str, ""), "a", id="integer for a string"),
    pytest.param(lambda: want({"a": True}, "a", int, 0), "a", id="true for an integer"),
    pytest.param(lambda: want({"a": 1}, "a", bool, False, "x."), "x.a", id="integer for true or false"),
    pytest.param(lambda: need({}, "a", str, "x."), "x.a", id="missing"),
    pytest.param(lambda: need({"a": None}, "a", str), "a", id="null for something needed"),
    pytest.param(lambda: expect([], dict, "a"), "a", id="array for an object"),
    pytest.param(lambda: objects({"a": [{}, 1]}, "a", "x."), "x.a[1]", id="number among objects"),
    pytest.param(lambda: objects({"a": {}}, "a"), "a", id="object for objects"),
]


@pytest.mark.parametrize(("read", "param"), READERS)
def test_wrong_types_name_the_field(read: Callable[[], object], param: str) -> None:
    with pytest.raises(Refused) as caught:
        read()
    assert (caught.value.reason, caught.value.param) == ("malformed", param)
    assert param in caught.value.message


@pytest.mark.parametrize("value", [0, -1, 1.0, 1.5, "1", True, [], {}, 2**31 + 1, 10**400])
def test_a_limit_is_a_whole_number_from_one_on(value: object) -> None:
    with pytest.raises(Refused) as caught:
        positive_int({"max_tokens": value}, "max_tokens")
    assert caught.value.param == "max_tokens"
    assert len(caught.value.message) < 200


def test_absent_and_null_are_the_default() -> None:
    assert want({"a": None}, "a", str, "d") == want({}, "a", str, "d") == "d"
    assert positive_int({"a": None}, "a") is None
    assert positive_int({"a": 7}, "a") == 7
    assert objects({}, "a") == []


def test_compact_and_dates() -> None:
    assert compact({"a": ["é", 1]}) == '{"a":["é",1]}'
    assert rfc3339(1_767_225_599_000) == "2025-12-31T23:59:59Z"
    assert rfc3339(1_767_225_599_007) == "2025-12-31T23:59:59.007Z"


def test_values_are_found_however_deep_and_however_spelled() -> None:
    sent = b'{"a":[{"cache\\u005fcontrol":{"ttl":"1\\u0068"}},"ttl"],"ttl":"5m","b":[[{"ttl":null}]]}'
    body = decode(sent)
    assert everywhere(body, "cache_control", sent) == [{"ttl": "1h"}]
    assert everywhere(body, "ttl", sent) == ["5m", "1h", None]
    assert everywhere(body, "1h", sent) == []
