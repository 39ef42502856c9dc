"""A gateway whose streams outgrow their budget, and one whose store falls silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from gateway import provider
from gateway.long_answers import LONG_ANSWERS, slowly
from gateway.provider import ANSWER, json_array
from gateway.running import Gateway, running
from gateway.sdks import CHAT_MODEL, CLAUDE, GEMINI, anthropic_at, genai_at, openai_at
from gateway.upstream import TAPE_HEADER, Upstream, serving, until

SILENT_MS = 4_000
USUAL = 20
ROOM = 120
GROWN = {"limit": {"output_tokens": USUAL * ANSWER + ROOM}, "window": "lifetime", "hold": "observed"}
LONG = 400
"""Words of the answer that outgrows everything."""
SDKS: dict[str, Any] = {"openai": openai_at, "responses": openai_at, "anthropic": anthropic_at, "gemini": genai_at}
POLICIES: dict[str, Any] = {
    "policies": [
        {"name": "grown", "match": {"team": "grown"}, "per": ["key"], "on_exhausted": "cut", **GROWN},
        {"name": "month", "match": {"team": "patient"}, "limit": {"usd": 100}, "window": "month"},
    ],
    "defaults": {"on_store_error": "slice"},
}


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    return Upstream(provider.answer)


@pytest.fixture(scope="module")
def gateway(upstream: Upstream) -> Iterator[Gateway]:
    with serving(upstream) as base_url, running(base_url, POLICIES, auth="keys", store_timeout_seconds=0.5) as started:
        yield started


@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_that_outgrows_its_budget_ends_like_any_other(gateway: Gateway, upstream: Upstream, sdk: str) -> None:
    long = LONG_ANSWERS[sdk]
    who = f"grown-{sdk}"
    client = SDKS[sdk](gateway.url, gateway.key("grown", alias=who)["key"])
    upstream.tape[f"long-{sdk}"] = slowly(long.words(LONG))
    for _ in range(USUAL):
        assert list(long.ask(client, {}))
        # Before there is a history, a call holds all that is left until it is settled.
        gateway.quiet()
    heard = list(long.ask(client, {TAPE_HEADER: f"long-{sdk}"}))
    client.close()
    assert ANSWER < len(heard) < LONG
    assert long.ends(heard) == 1
    gateway.quiet()
    [entry] = [e for e in gateway.entries() if e.key == who and e.ending != "reported"]
    assert entry.ending == "cut off: the budget ran out while it was answered"
    [spent] = [state.spent for counter, state in gateway.counters("grown").items() if counter.scope == (("key", who),)]
    assert spent <= USUAL * ANSWER + ROOM
    assert not [seen for seen in upstream.sent_whole if seen.headers.get(TAPE_HEADER) == f"long-{sdk}"]


def test_a_cut_array_is_whole_and_a_cut_message_says_why(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.key("grown", alias="grown-others")["key"]
    array = json_array(*[json.loads(chunk.removeprefix(b"data: ")) for chunk in LONG_ANSWERS["gemini"].words(LONG)])
    upstream.tape["long-array"] = slowly(array, **{"content-type": "application/json"})
    upstream.tape["long-message"] = slowly(LONG_ANSWERS["anthropic"].words(LONG))
    with anthropic_at(gateway.url, key) as sdk:
        for _ in range(USUAL):
            assert list(LONG_ANSWERS["anthropic"].ask(sdk, {}))
            gateway.quiet()
        headers = {TAPE_HEADER: "long-message"}
        say: Any = [{"role": "user", "content": "Weigh."}]
        with sdk.messages.stream(model=CLAUDE, messages=say, max_tokens=1000, extra_headers=headers) as stream:
            message = stream.get_final_message()
    assert message.stop_reason == "max_tokens" and message.content[0].text.startswith("abcabc")
    gateway.quiet()
    other = gateway.key("grown", alias="grown-array")["key"]
    path, body = f"/v1beta/models/{GEMINI}:streamGenerateContent", {"contents": [{"parts": [{"text": "Weigh."}]}]}
    with httpx.Client(base_url=gateway.url, headers={"x-goog-api-key": other}, timeout=30) as client:
        for _ in range(USUAL):
            assert client.post(path, json=body).status_code == 200
        gateway.quiet()
        elements = client.post(path, json=body, headers={TAPE_HEADER: "long-array"}).json()
    assert elements[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS" and ANSWER < len(elements) < LONG


def test_a_silent_store_is_bridged_by_a_share_of_the_limits(gateway: Gateway) -> None:
    key = gateway.key("patient", alias="patient")["key"]
    body = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "Weigh."}], "max_tokens": 50}
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
        first = client.post("/v1/chat/completions", json=body)
        assert first.status_code == 200
        gateway.quiet()
        [before] = gateway.counters("month").values()
        with redis.Redis.from_url(gateway.store_url) as admin:
            admin.client_pause(SILENT_MS, all=True)
            answers = [client.post("/v1/chat/completions", json=body) for _ in range(10)]
            admin.ping()  # is answered when the silence is over
        assert {answer.status_code for answer in answers} == {200}
        assert "x-weighbridge-remaining" in first.headers
        assert "x-weighbridge-remaining" not in answers[0].headers, "what others spent, nobody knows just now"
    until(lambda: len([e for e in gateway.entries() if e.key == "patient"]) == 11, "all to be charged")
    [after] = gateway.counters("month").values()
    assert after.spent == 11 * before.spent
    gateway.quiet()
