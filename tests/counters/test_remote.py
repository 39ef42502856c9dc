"""Asking, as a flow: remembered, governed, retried, and the offline estimate where nobody answers."""

from __future__ import annotations

import json
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from counters.driving import NOON, Driver, answered
from weighbridge.core.admission import Weighed
from weighbridge.core.flow import Answered, Unanswered
from weighbridge.core.model import Call, Estimate, Message, Model, Parts, Principal, RawCall, Text, Tool
from weighbridge.core.policy.budget import Facts
from weighbridge.counters import APIS, Account, Remote
from weighbridge.counters.line import LONG_REST_MS, MINUTE_MS, MOST_FAILURES, REST_MS
from weighbridge.counters.remote import REMEMBERED

OFFLINE = Estimate(100, 120, "claude from o200k_base", Parts(messages=60, system=40))
EXACT = "anthropic count_tokens"
OK = answered({"input_tokens": 111})
SILENT = Unanswered("ReadTimeout")


def call(text: str = "hello", **changes: Any) -> tuple[RawCall, Weighed]:
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": text}], "max_tokens": 9}
    parsed = Call("anthropic-messages", "claude-sonnet-4-5", (Message("user", (Text(text),)),), **changes)
    raw = RawCall("anthropic-messages", json.dumps(body).encode())
    return raw, Weighed(parsed, Model("claude-sonnet-4-5"), OFFLINE, Principal(), "anthropic", Facts({}, ""), ())


def remote(driver: Driver, per_minute: int | None = None) -> Remote:
    account = Account("anthropic", APIS["anthropic"], "https://provider.example", "sk-secret", per_minute)
    return Remote([account], driver.clock)


def ask(driver: Driver, asker: Remote, text: str = "hello", **changes: Any) -> Estimate:
    return driver.run(asker.asking(*call(text, **changes)))


def test_the_providers_count_stands_for_tokens_and_upper() -> None:
    driver = Driver([OK])
    found = ask(driver, remote(driver))
    assert found == Estimate(111, 111, EXACT, Parts(messages=67, system=44))
    (post,) = driver.posts
    assert post.url == "https://provider.example/v1/messages/count_tokens"
    assert post.headers["x-api-key"] == "sk-secret" and post.seconds == 2.0
    assert "sk-secret" not in repr(post) and "hello" not in repr(post)
    assert "sk-secret" not in repr(Account("anthropic", APIS["anthropic"], "https://provider.example", "sk-secret"))


def test_the_same_question_is_asked_once() -> None:
    driver = Driver([OK, answered({"input_tokens": 7})])
    asker = remote(driver)
    assert [ask(driver, asker, text).tokens for text in ("a", "a", "b", "a")] == [111, 111, 7, 111]
    assert len(driver.posts) == 2


def test_the_memory_is_bounded() -> None:
    driver = Driver([OK] * (REMEMBERED + 2))
    asker = remote(driver)
    for n in range(REMEMBERED + 1):
        ask(driver, asker, str(n))
    ask(driver, asker, str(REMEMBERED))
    assert len(driver.posts) == REMEMBERED + 1, "the latest is remembered"
    ask(driver, asker, "0")
    assert len(driver.posts) == REMEMBERED + 2, "the oldest was forgotten"


RETRIED = {
    "529, then an answer": ([answered({}, 529), OK], [0.2]),
    "twice 500": ([answered({}, 500), answered({}, 500), OK], [0.2, 0.6]),
    "429 with retry-after": ([answered({}, 429, retry_after="1"), OK], [1.0]),
    "429 with retry-after-ms": ([answered({}, 429, retry_after_ms="700", retry_after="9"), OK], [0.7]),
    "503 with a date": (
        [answered({}, 503, retry_after=formatdate(NOON / 1000 + 1, usegmt=True)), OK],
        [1.0],
    ),
    "no connection": ([Unanswered("ConnectError", sent=False), OK], [0.2]),
    "nonsense in retry-after": ([answered({}, 503, retry_after="soon"), OK], [0.2]),
}


@pytest.mark.parametrize(("answers", "pauses"), RETRIED.values(), ids=RETRIED)
def test_asked_again(answers: list[Answered | Unanswered], pauses: list[float]) -> None:
    driver = Driver(answers)
    assert ask(driver, remote(driver)).method == EXACT
    assert driver.pauses == pauses


GONE = {
    "400": ([answered({}, 400)], "anthropic answered 400"),
    "three times 500": ([answered({}, 500)] * 3, "anthropic answered 500"),
    "a wait beyond the patience": ([answered({}, 429, retry_after="30")], "anthropic answered 429"),
    "an endless wait": ([answered({}, 429, retry_after="inf")] * 3, "anthropic answered 429"),
    "told not to": ([answered({}, 500, x_should_retry="false")], "anthropic answered 500"),
    "a timeout": ([SILENT], "anthropic did not answer (ReadTimeout)"),
    "not JSON": ([Answered(200, {}, b"<html>")], "anthropic gave an answer without a count"),
    "no count": ([answered({"tokens": 3})], "anthropic gave an answer without a count"),
    "true": ([answered({"input_tokens": True})], "anthropic gave an answer without a count"),
    "negative": ([answered({"input_tokens": -1})], "anthropic gave an answer without a count"),
    "a list": ([answered([3])], "anthropic gave an answer without a count"),
    "nested": ([Answered(200, {}, b"[" * 100_000)], "anthropic gave an answer without a count"),
}


@pytest.mark.parametrize(("answers", "why"), GONE.values(), ids=GONE)
def test_the_offline_estimate_says_that_it_is_one(answers: list[Answered | Unanswered], why: str) -> None:
    driver = Driver(answers)
    assert ask(driver, remote(driver)) == replace(OFFLINE, method=f"claude from o200k_base; offline: {why}")
    assert not driver.answers


def test_a_provider_that_is_down_is_left_alone() -> None:
    driver = Driver([SILENT] * (MOST_FAILURES + 1) + [OK])
    asker = remote(driver)
    for n in range(MOST_FAILURES):
        ask(driver, asker, str(n))
    assert "not asked for a while (ReadTimeout)" in ask(driver, asker).method
    driver.now += REST_MS
    assert "did not answer" in ask(driver, asker).method, "one question after the rest"
    assert "not asked for a while" in ask(driver, asker).method, "and one failure is enough for the next"
    driver.now += REST_MS
    assert ask(driver, asker).method == EXACT
    assert len(driver.posts) == MOST_FAILURES + 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_address_is_not_tried_with_every_call(status: int) -> None:
    driver = Driver([answered({}, status), OK])
    asker = remote(driver)
    ask(driver, asker)
    assert f"not asked for a while (answered {status})" in ask(driver, asker).method
    driver.now += LONG_REST_MS
    assert ask(driver, asker).method == EXACT


def test_a_rate_limit_holds_for_every_call() -> None:
    driver = Driver([answered({}, 429, retry_after="20"), OK])
    asker = remote(driver)
    ask(driver, asker)
    assert "not asked for a while" in ask(driver, asker, "another").method
    driver.now += 20_000
    assert ask(driver, asker, "another").method == EXACT


def test_questions_that_are_wrong_are_nobodys_failure() -> None:
    driver = Driver([answered({}, 400)] * (2 * MOST_FAILURES) + [OK])
    asker = remote(driver)
    methods = [ask(driver, asker).method for _ in range(2 * MOST_FAILURES + 1)]
    assert methods[-1] == EXACT


@pytest.mark.parametrize("tier", [100, 2000, 4000, 8000])
def test_no_more_questions_a_minute_than_agreed(tier: int) -> None:
    driver = Driver([OK] * (2 * tier))
    asker = remote(driver, per_minute=tier)
    for n in range(tier):
        assert ask(driver, asker, str(n)).method == EXACT
    assert "questions of this minute are used up" in ask(driver, asker, "one more").method
    driver.now += MINUTE_MS - 1500
    assert ask(driver, asker, "one more").method == EXACT, "a wait within the patience is waited"
    assert driver.pauses == [1.5]


def test_a_retry_is_a_question_too() -> None:
    driver = Driver([answered({}, 500)])
    assert "are used up" in ask(driver, remote(driver, per_minute=1)).method


def test_who_is_not_asked() -> None:
    driver = Driver()
    asker = remote(driver)
    raw, weighed = call()
    elsewhere = driver.run(asker.asking(raw, replace(weighed, provider="groq")))
    assert "groq was not asked (it has no counter" in elsewhere.method
    chat = replace(weighed, call=replace(weighed.call, dialect="openai-chat"))
    assert "does not read openai-chat" in driver.run(asker.asking(raw, chat)).method
    server = Tool("web_search", server="web_search_20250305")
    assert "tools that run at the provider" in ask(driver, asker, tools=(server,)).method


def test_big_requests_are_turned_into_questions_as_heavy_work() -> None:
    driver = Driver([OK])
    assert ask(driver, remote(driver), "x" * 200_000).method == EXACT
