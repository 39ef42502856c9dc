"""The plugin in LiteLLM's own app: what it can do without the wrapper, and where it can only guess."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.provider import ANSWER, PROMPT, WORDS
from gateway.sdks import QUESTION
from gateway.upstream import until
from proxied.conftest import Rig

SAID: Any = [{"role": "user", "content": QUESTION}]
CONTENTS: Any = {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
CLAUDE: Any = {"model": "claude", "max_tokens": 64, "messages": SAID}

SETTLED: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, {"model": "fast", "messages": SAID}),
    "chat, streamed": (CHAT, {"model": "fast", "messages": SAID, "stream": True}),
    "chat at Anthropic, streamed": (CHAT, {**CLAUDE, "stream": True}),
    "responses": (RESPONSES, {"model": "fast", "input": QUESTION}),
    "responses, streamed": (RESPONSES, {"model": "fast", "input": QUESTION, "stream": True}),
    "messages": (MESSAGES, CLAUDE),
    "messages, streamed": (MESSAGES, {**CLAUDE, "stream": True}),
    "messages at OpenAI, streamed": (MESSAGES, {**CLAUDE, "model": "fast", "stream": True}),
    "contents": ("/v1beta/models/gem:generateContent", CONTENTS),
    "contents, streamed": ("/v1beta/models/gem:streamGenerateContent?alt=sse", CONTENTS),
    "completions": ("/v1/completions", {"model": "words", "prompt": QUESTION, "max_tokens": 20}),
    "completions, streamed": ("/v1/completions", {"model": "words", "prompt": QUESTION, "stream": True}),
    "embeddings": ("/v1/embeddings", {"model": "vectors", "input": QUESTION}),
    "passed through": ("/anthropic/v1/messages", {**CLAUDE, "model": "claude-haiku-4-5"}),
    "passed through a route of one's own": ("/there/v1/chat/completions", {"model": "gpt-4o-mini", "messages": SAID}),
}


@pytest.mark.parametrize(("path", "body"), SETTLED.values(), ids=SETTLED)
def test_settles_what_the_provider_bills(path: str, body: dict[str, Any], alone: Rig) -> None:
    with alone.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert len(alone.settled()) == 1


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    name: SETTLED[name] for name in ("chat", "responses", "messages", "contents", "completions", "passed through")
}


@pytest.mark.parametrize(("path", "body"), REFUSED.values(), ids=REFUSED)
def test_refuses(path: str, body: dict[str, Any], alone: Rig) -> None:
    with alone.client("broke") as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 429 and "all-broke" in answer.text
    assert alone.settled() == [] and not alone.upstream.seen


def test_a_client_that_leaves_is_charged_what_went_by(alone: Rig) -> None:
    for path, body in (
        (CHAT, {"model": "slow-fast", "messages": SAID}),
        (MESSAGES, {**CLAUDE, "model": "slow-claude"}),
    ):
        with alone.client() as client, client.stream("POST", path, json={**body, "stream": True}) as answer:
            next(answer.iter_raw())
    entries = until(lambda: alone.entries() if len(alone.entries()) == 2 else [], "both to be settled")
    assert all(entry.ending.startswith("cut off") for entry in entries)
    charged = [(entry.model, entry.input, entry.output) for entry in entries]
    assert all(0 < input <= 2 * PROMPT and 0 < output <= 3 * ANSWER for _, input, output in charged), charged


STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "messages": ("/there/v1/messages", {**CLAUDE, "model": "claude-haiku-4-5", "stream": True}),
    "chat": ("/there/v1/chat/completions", {"model": "gpt-4o-mini", "messages": SAID, "stream": True}),
    "responses": ("/there/v1/responses", {"model": "gpt-4o-mini", "input": QUESTION, "stream": True}),
    "contents": ("/there/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse", CONTENTS),
    "contents, an array": ("/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent", CONTENTS),
}


@pytest.mark.parametrize(("path", "body"), STREAMS.values(), ids=STREAMS)
def test_a_stream_that_passes_through_is_metered_as_it_goes_by(path: str, body: dict[str, Any], alone: Rig) -> None:
    with alone.client() as client:
        answer = client.post(path, json=body)
    assert WORDS[-1] in answer.text and "prompt_tokens" not in answer.text, "the usage that we asked for is ours"
    assert len(alone.settled()) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["alone", "wrapped"])
def test_what_litellm_had_already_costs_nothing(wrapped: bool, stream: bool, request: pytest.FixtureRequest) -> None:
    rig: Rig = request.getfixturevalue("rig" if wrapped else "alone")
    said = [{"role": "user", "content": f"Once and again, {stream}?"}]
    asked = {"model": "fast", "messages": said, "stream": stream, "cache": {"use-cache": True}}
    with rig.client() as client:
        answers = [client.post(CHAT, json=asked) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {200}
    # Two workers have a cache each.
    assert len(rig.settled()) == len(rig.bill.lines) <= (2 if wrapped else 1)
