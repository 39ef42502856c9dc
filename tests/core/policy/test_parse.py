from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.errors import ConfigError
from weighbridge.core.policy.model import ContextRule, Defaults, ModelRule, Policy, Window
from weighbridge.core.policy.parse import PolicyError, defaults, defaults_document, document, policies, policy

BASE = {"name": "p", "limit": {"usd": 500}, "window": "month"}


def test_a_full_policy() -> None:
    read = policy(
        {
            "name": "research-month",
            "match": {"tag.run": "x*", "model": "gpt-5*", "team": "research"},
            "limit": {"usd": "0.10"},
            "window": "month",
            "timezone": "Europe/Zurich",
            "warn_at": [0.95, 0.8],
            "mode": "shadow",
            "hold": "observed",
            "on_exhausted": "cut",
            "max_held_share": 0.25,
            "context": {"max_input_tokens": 32000, "on_exceed": "reroute gpt-4.1"},
            "models": {"allow": ["*-mini"], "deny": ["o1*"]},
        }
    )
    assert read == Policy(
        name="research-month",
        match={"team": "research", "model": "gpt-5*", "tag.run": "x*"},
        unit="nano_usd",
        limit=100_000_000,
        window=Window("month", "Europe/Zurich"),
        per=("team", "model", "tag.run"),
        warn_at=(0.8, 0.95),
        mode="shadow",
        hold="observed",
        on_exhausted="cut",
        max_held_share=0.25,
        context=ContextRule(32000, "reroute", "gpt-4.1"),
        models=ModelRule(("*-mini",), ("o1*",)),
    )
    assert policy(document(read)) == read


@pytest.mark.parametrize(
    ("limit", "unit", "amount"),
    [
        ({"usd": 500}, "nano_usd", 500 * 10**9),
        ({"usd": 0.1}, "nano_usd", 10**8),
        ({"usd": "0.000000001"}, "nano_usd", 1),
        ({"usd": 9007199}, "nano_usd", 9007199 * 10**9),
        ({"usd": 0}, "nano_usd", 0),
        ({"usd": "1." + "0" * 50}, "nano_usd", 10**9),
        ({"tokens": "1e6"}, "tokens", 10**6),
        ({"input_tokens": 5.0}, "input_tokens", 5),
        ({"output_tokens": 5}, "output_tokens", 5),
        ({"requests": 600}, "requests", 600),
    ],
)
def test_limits_are_read_exactly(limit: dict[str, Any], unit: str, amount: int) -> None:
    read = policy({"name": "p", "limit": limit, "window": "day"})
    assert (read.unit, read.limit) == (unit, amount)


def test_concurrent_takes_no_window() -> None:
    read = policy({"name": "p", "limit": {"concurrent": 4}})
    assert (read.unit, read.limit, read.window) == ("calls", 4, Window(""))


def test_a_limit_of_calls_at_once_has_nothing_to_warn_of() -> None:
    with pytest.raises(PolicyError, match="spends nothing"):
        policy({"name": "p", "limit": {"concurrent": 4}, "warn_at": [0.8]})


@pytest.mark.parametrize("written", ["rolling 5h", "rolling  5 h"])
def test_a_rolling_window_reads_the_same_however_it_is_written(written: str) -> None:
    assert policy({**BASE, "window": written}).window == Window("rolling 5h")


def test_per_reads_the_same_however_it_is_written() -> None:
    ways = [["tag.b", "user", "tag.a", "team"], ["team", "user", "tag.b", "tag.a"]]
    assert {policy({**BASE, "per": way}).per for way in ways} == {("team", "user", "tag.a", "tag.b")}
    assert policy({**BASE, "match": {"team": "x"}, "per": []}).per == ()
    assert policy(BASE).per == ()


WRONG: list[tuple[dict[Any, Any], tuple[str | int, ...], str]] = [
    ({"widow": "month"}, ("widow",), "did you mean 'window'?"),
    ({1: 2}, ("1",), "unknown field 1"),
    ({"name": None}, ("name",), "must be text"),
    ({"name": ""}, ("name",), "must not be empty"),
    ({"name": " p"}, ("name",), "begin or end with a blank"),
    ({"name": "a;b"}, ("name",), "must not contain"),
    ({"name": "a\nb"}, ("name",), "must not contain"),
    ({"name": "n" * 201}, ("name",), "longer than 200"),
    ({"match": {"taem": "x"}}, ("match", "taem"), "must be one of org, team"),
    ({"match": {"tag.": "x"}}, ("match", "tag."), "tag.NAME"),
    ({"match": {"team": 42}}, ("match", "team"), "must be text, not 42"),
    ({"match": {"team": ""}}, ("match", "team"), "must not be empty"),
    ({"match": ["team"]}, ("match",), "must be a mapping"),
    ({"limit": {"usd": 5, "tokens": 5}}, ("limit",), "not usd and tokens"),
    ({"limit": {}}, ("limit",), "takes one of usd"),
    ({"limit": 500}, ("limit",), "must be a mapping"),
    ({"limit": {"eur": 5}}, ("limit", "eur"), "unknown field 'eur'"),
    ({"limit": {"usd": "abc"}}, ("limit", "usd"), "not 'abc'; write e.g. `usd: 500`"),
    ({"limit": {"usd": -1}}, ("limit", "usd"), "0 or more, not -1"),
    ({"limit": {"usd": float("nan")}}, ("limit", "usd"), "must be a number"),
    ({"limit": {"usd": "NaN"}}, ("limit", "usd"), "must be a number"),
    ({"limit": {"usd": float("inf")}}, ("limit", "usd"), "must be a number"),
    ({"limit": {"usd": True}}, ("limit", "usd"), "must be a number"),
    ({"limit": {"usd": None}}, ("limit", "usd"), "must be a number"),
    ({"limit": {"usd": 10**7}}, ("limit", "usd"), "at most 9007199"),
    ({"limit": {"usd": 10**5000}}, ("limit", "usd"), "more than 30 digits"),
    ({"limit": {"usd": "1e999999999"}}, ("limit", "usd"), "at most"),
    ({"limit": {"usd": "1e-999999999"}}, ("limit", "usd"), "at most 9 decimals"),
    ({"limit": {"usd": "0.0000000001"}}, ("limit", "usd"), "at most 9 decimals"),
    ({"limit": {"tokens": 1.5}}, ("limit", "tokens"), "no decimals"),
    ({"limit": {"tokens": 2**53}}, ("limit", "tokens"), "at most 9007199254740991"),
    ({"limit": {"concurrent": 4}}, ("window",), "does not go with `concurrent`"),
    ({"window": "fortnight"}, ("window",), "must be minute"),
    ({"window": "rolling 5"}, ("window",), "must be minute"),
    ({"window": "rolling 59s"}, ("window",), "a minute or longer"),
    ({"window": "rolling 400d"}, ("window",), "366 days at most"),
    ({"window": "rolling 5h", "timezone": "Europe/Zurich"}, ("timezone",), "calendar windows"),
    ({"max_held_share": 0}, ("max_held_share",), "above 0"),
    ({"max_held_share": 25}, ("max_held_share",), "0.8 for 80 %"),
    ({"max_held_share": True}, ("max_held_share",), "above 0"),
    ({"timezone": "Europe/Zürich"}, ("timezone",), "is not a time zone"),
    ({"timezone": "America"}, ("timezone",), "is not a time zone"),
    ({"timezone": "../../etc/passwd"}, ("timezone",), "is not a time zone"),
    ({"timezone": "Europe/Zurich", "window": "lifetime"}, ("timezone",), "calendar windows"),
    ({"per": ["colour"]}, ("per", 0), "must be one of org, team"),
    ({"per": ["team", "team"]}, ("per",), "twice"),
    ({"per": "team"}, ("per",), "must be a list"),
    ({"warn_at": [0]}, ("warn_at", 0), "above 0"),
    ({"warn_at": [80]}, ("warn_at", 0), "0.8 for 80 %"),
    ({"warn_at": ["1e-999"]}, ("warn_at", 0), "above 0"),
    ({"warn_at": [True]}, ("warn_at", 0), "above 0"),
    ({"warn_at": [0.5, 0.5]}, ("warn_at",), "twice"),
    ({"warn_at": 0.8}, ("warn_at",), "must be a list"),
    ({"mode": "enforced"}, ("mode",), "did you mean 'enforce'?"),
    ({"mode": True}, ("mode",), "must be enforce or shadow"),
    ({"hold": "observed", "limit": {"requests": 5}}, ("hold",), "usd, tokens or output_tokens"),
    ({"context": {}}, ("context", "max_input_tokens"), "is missing"),
    ({"context": {"max_input_tokens": 0}}, ("context", "max_input_tokens"), "1 or more"),
    ({"context": {"max_input_tokens": 1, "on_exceed": "reroute"}}, ("context", "on_exceed"), "reroute gpt-4.1"),
    ({"context": {"max_input_tokens": 1, "on_exceed": "trim it"}}, ("context", "on_exceed"), "reject or trim"),
    ({"models": {}}, ("models",), "names no models"),
    ({"models": {"allow": []}}, ("models", "allow"), "is empty"),
    ({"models": {"allow": "*-mini"}}, ("models", "allow"), "must be a list"),
    ({"models": {"deny": [""]}}, ("models", "deny", 0), "must not be empty"),
]


@pytest.mark.parametrize(("change", "path", "words"), WRONG, ids=[f"{p}-{w}" for _, p, w in WRONG])
def test_what_is_wrong_is_named_with_its_path(change: dict[Any, Any], path: tuple[Any, ...], words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policies({"policies": [{**BASE, **change}]})
    assert caught.value.path == ("policies", 0, *path)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("field", ["window", "timezone", "per", "warn_at", "hold", "on_exhausted", "max_held_share"])
def test_what_goes_only_with_a_limit(field: str) -> None:
    values = {"window": "day", "timezone": "UTC", "per": ["team"], "warn_at": [1], "max_held_share": 1}
    value = {**values, "hold": "observed"}.get(field, "cut")
    with pytest.raises(PolicyError, match="without a limit"):
        policy({"name": "p", "models": {"allow": ["*"]}, field: value})


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"limit": {"usd": 1}, "window": "day"}, "name: is missing"),
        ({"name": "p", "limit": {"usd": 1}}, "window: is missing"),
        ({"name": "p", "match": {"team": "x"}}, "limits nothing"),
        ("p", "must be a mapping"),
        (None, "must be a mapping"),
    ],
)
def test_what_is_missing(row: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        policy(row)


def test_a_file_of_policies() -> None:
    found, rules = policies({"policies": [BASE, {**BASE, "name": "q"}], "defaults": {"clamp_output": False}})
    assert [p.name for p in found] == ["p", "q"]
    assert rules == Defaults(clamp_output=False)
    assert policies({}) == ((), Defaults())


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ({"policies": [BASE, BASE]}, ("policies", 1, "name")),
        ({"policies": {"a": 1}}, ("policies",)),
        ({"polices": []}, ("polices",)),
        ({"defaults": {"clamp_output": "yes"}}, ("defaults", "clamp_output")),
        ({"defaults": {"unpriced_model": "free"}}, ("defaults", "unpriced_model")),
        ({"defaults": {"unpriced_model": {}}}, ("defaults", "unpriced_model")),
        ({"defaults": {"unpriced_model": {"usd_per_request": -1}}}, ("defaults", "unpriced_model", "usd_per_request")),
        ({"defaults": {"on_store_error": "pray"}}, ("defaults", "on_store_error")),
    ],
)
def test_files_that_cannot_be(written: dict[str, Any], path: tuple[Any, ...]) -> None:
    with pytest.raises(PolicyError) as caught:
        policies(written)
    assert caught.value.path == path


NAMES = st.text("abcXYZ09 .-_/é*?[]", min_size=1, max_size=20).map(str.strip).filter(bool)
FIELD = st.sampled_from(["org", "team", "user", "key", "model", "provider"]) | NAMES.map(lambda n: f"tag.{n}")
LIMIT = st.one_of(
    st.integers(0, 9_007_199 * 10**9).map(lambda n: {"usd": str(Decimal(n).scaleb(-9))}),
    *(
        st.integers(0, 2**53 - 1).map(lambda n, unit=unit: {unit: n})
        for unit in ("tokens", "input_tokens", "output_tokens", "requests")
    ),
)
RULES = {
    "mode": st.sampled_from(["enforce", "shadow"]),
    "context": st.builds(
        lambda n, then: {"max_input_tokens": n, "on_exceed": then},
        st.integers(1, 10**7),
        st.sampled_from(["reject", "trim", "reroute gpt-4.1"]),
    ),
    "models": st.dictionaries(st.sampled_from(["allow", "deny"]), st.lists(NAMES, min_size=1, max_size=3), min_size=1),
}
LIMITED = st.fixed_dictionaries(
    {"name": NAMES, "limit": LIMIT, "window": st.sampled_from(["minute", "day", "month", "lifetime"])},
    optional={
        "match": st.dictionaries(FIELD, NAMES, max_size=4),
        "per": st.lists(FIELD, unique=True, max_size=4),
        "warn_at": st.lists(st.floats(0.01, 1), unique=True, max_size=3),
        **RULES,
    },
)


@given(LIMITED)
def test_a_document_reads_back_as_the_policy_it_was_written_from(row: dict[str, Any]) -> None:
    read = policy(row)
    assert policy(json.loads(json.dumps(document(read)))) == read


@given(st.sampled_from(["reject", "allow"]) | st.integers(0, 10**12), st.booleans())
def test_defaults_read_back(unpriced: Any, clamp: bool) -> None:
    rules = Defaults(clamp, unpriced, "slice")
    assert defaults(json.loads(json.dumps(defaults_document(rules)))) == rules


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*BASE, "per", "usd", "x"]), inner),
    max_leaves=12,
)


@given(JSON)
def test_anything_else_is_a_policy_error(row: Any) -> None:
    try:
        policy(row)
    except PolicyError as error:
        assert str(error)
