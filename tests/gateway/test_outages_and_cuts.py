"""A gateway whose streams outgrow their budget, and one whose store falls silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis

from gateway import provider
from gateway.provider import ANSWER, json_array, sse
from gateway.running import Gateway, running
from gateway.sdks import CHAT_MODEL, CLAUDE, GEMINI, anthropic_at, genai_at, openai_at
from gateway.upstream import TAPE_HEADER, Answer, Pause, Step, Upstream, serving, until

SILENT_MS = 4_000
USUAL = 20
ROOM = 120
LONG = 400
"""Words of the answer that outgrows everything."""
GROWN = {"limit": {"output_tokens": USUAL * ANSWER + ROOM}, "window": "lifetime", "hold": "observed"}
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


def slowly(events: list[bytes]) -> Answer:
    """A stream whose chunks do not come all at once."""
    steps: list[Step] = [step for event in events for step in (event, Pause(0.005))]
    return Answer.stream(*steps)


def chat_words() -> list[bytes]:
    return sse(*[{"choices": [{"index": 0, "delta": {"content": "abc"}}]}] * LONG)


def claude_words() -> list[bytes]:
    begin = {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
             "model": CLAUDE, "usage": {"input_tokens": 9, "output_tokens": 1}}}  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "abc"}}
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in (begin, block, *[delta] * LONG)]


def gemini_words() -> list[bytes]:
    return sse(*[{"candidates": [{"content": {"role": "model", "parts": [{"text": "abc"}]}}]}] * LONG)


def ask_openai(sdk: Any, headers: dict[str, str]) -> Any:
    messages: Any = [{"role": "user", "content": "Weigh."}]
    return sdk.chat.completions.create(
        model=CHAT_MODEL, messages=messages, stream=True, max_tokens=1000, extra_headers=headers
    )


def response_words() -> list[bytes]:
    text = {"type": "output_text", "text": "", "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "in_progress", "content": []}
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    events = [
        {
            "type": "response.created",
            "response": {"id": "r", "object": "response", "status": "in_progress", "output": []},
        },
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": text},
        *[{"type": "response.output_text.delta", **place, "delta": "abc"}] * LONG,
    ]
    return list(sse(*({**e, "sequence_number": i} for i, e in enumerate(events)), named=True))


def ask_responses(sdk: Any, headers: dict[str, str]) -> Any:
    return sdk.responses.create(
        model=CHAT_MODEL, input="Weigh.", stream=True, max_output_tokens=1000, extra_headers=headers
    )


def _incomplete(heard: Any) -> int:
    last = heard[-1]
    assert last.type == "response.incomplete" and last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.output_text == "abc" * [event.type for event in heard].count("response.output_text.delta")
    return [event.type for event in heard].count("response.incomplete")


def ask_anthropic(sdk: Any, headers: dict[str, str]) -> Any:
    messages: Any = [{"role": "user", "content": "Weigh."}]
    return sdk.messages.create(model=CLAUDE, messages=messages, stream=True, max_tokens=1000, extra_headers=headers)


def ask_gemini(sdk: Any, headers: dict[str, str]) -> Any:
    config: Any = {"max_output_tokens": 1000, "http_options": {"headers": headers}}
    return sdk.models.generate_content_stream(model=GEMINI, contents="Weigh.", config=config)


def _stops(heard: Any) -> int:
    return [event.type for event in heard].count("message_stop")


def _ends(choices: str, reason: str) -> Any:
    """How often an SDK hears the end."""
    return lambda heard: [c.finish_reason for event in heard for c in getattr(event, choices) or []].count(reason)


SDKS: dict[str, tuple[Any, ...]] = {
    "openai": (openai_at, ask_openai, chat_words, _ends("choices", "length")),
    "responses": (openai_at, ask_responses, response_words, _incomplete),
    "anthropic": (anthropic_at, ask_anthropic, claude_words, _stops),
    "gemini": (genai_at, ask_gemini, gemini_words, _ends("candidates", "MAX_TOKENS")),
}
"""(client at a URL with a key, what it asks, an answer that is too long, how often it hears the end)."""


@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_that_outgrows_its_budget_ends_like_any_other(gateway: Gateway, upstream: Upstream, sdk: str) -> None:
    made, ask, words, reason = SDKS[sdk]
    who = f"grown-{sdk}"
    client = made(gateway.url, gateway.key("grown", alias=who)["key"])
    upstream.tape[f"long-{sdk}"] = slowly(words())
    for _ in range(USUAL):
        assert list(ask(client, {}))
    gateway.quiet()
    heard = list(ask(client, {TAPE_HEADER: f"long-{sdk}"}))
    client.close()
    assert ANSWER < len(heard) < LONG
    assert reason(heard) == 1
    gateway.quiet()
    [entry] = [e for e in gateway.entries() if e.key == who and e.ending != "reported"]
    assert entry.ending == "cut off: the budget ran out while it was answered"
    [spent] = [state.spent for counter, state in gateway.counters("grown").items() if counter.scope == (("key", who),)]
    assert spent <= USUAL * ANSWER + ROOM
    assert not [seen for seen in upstream.sent_whole if seen.headers.get(TAPE_HEADER) == f"long-{sdk}"]


def test_a_cut_array_is_whole_and_a_cut_message_says_why(gateway: Gateway, upstream: Upstream) -> None:
    key = gateway.key("grown", alias="grown-others")["key"]
    array = json_array(*[json.loads(chunk.removeprefix(b"data: ")) for chunk in gemini_words()])
    upstream.tape["long-array"] = Answer.stream(
        *(step for chunk in array for step in (chunk, Pause(0.005))), headers={"content-type": "application/json"}
    )
    upstream.tape["long-message"] = slowly(claude_words())
    with anthropic_at(gateway.url, key) as sdk:
        for _ in range(USUAL):
            assert list(ask_anthropic(sdk, {}))
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
