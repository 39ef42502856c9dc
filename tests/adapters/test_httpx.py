"""The transports of httpx and httpx2 without an SDK: what passes, what is refused, what is charged."""

from __future__ import annotations

import gzip
import json
import threading
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from adapters.crossings import CHAT, CHAT_PATH, CHUNKS, STREAM, USAGE_CHUNK, Over, Yard, sent
from gateway.provider import ANSWER, CHAT_USAGE, PROMPT, TEXT
from gateway.upstream import TAPE_HEADER, Answer, Wait
from weighbridge.adapters.asgi import Weighbridge
from weighbridge.core.errors import StoreUnavailable
from weighbridge.core.model import Principal


def test_an_answer_says_what_was_held(over: Over, at: Yard) -> None:
    with over() as client:
        answer = client.post(CHAT_PATH, json=CHAT, headers={"authorization": "Bearer sk-mine"})
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert answer.headers["x-weighbridge-decision"] == "admit"
    assert answer.headers["x-weighbridge-remaining"].startswith("all-free;usd=99")
    assert float(answer.headers["x-weighbridge-held-usd"]) > 0
    entry = at.entry(answer)
    assert (entry.team, entry.provider, entry.input, entry.output) == ("free", "127.0.0.1", PROMPT, ANSWER)
    at.balanced()


def test_requests_go_out_byte_for_byte(over: Over, at: Yard) -> None:
    body = b'{ "messages":[{"role":"user","content":"\\u00fc \xc3\xbc"}],\n "top_p": 1.0e0, "model":"gpt-4o-mini"}'
    headers = {"authorization": "Bearer sk-mine", "x-weighbridge-tags": "run=1", "openai-organization": "org-1"}
    with over() as client:
        answer = client.post(CHAT_PATH, content=iter([body[:9], body[9:]]), headers=headers)
    (seen,) = at.upstream.seen
    assert seen.body == body
    assert (seen.headers["authorization"], seen.headers["openai-organization"]) == ("Bearer sk-mine", "org-1")
    assert seen.headers["accept-encoding"] == "gzip", "br and zstd cannot be read on the way"
    assert not [name for name in seen.headers if name.startswith("x-weighbridge")]
    assert at.entry(answer).tags == {"run": "1"}


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
def test_packed_requests_and_answers(over: Over, at: Yard, pack: Callable[[bytes], bytes]) -> None:
    whole = json.dumps({"choices": [], "usage": CHAT_USAGE}).encode()
    at.upstream.tape["packed"] = Answer((gzip.compress(whole),), 200, {"content-encoding": "gzip"})
    name = "gzip" if pack is gzip.compress else "deflate"
    with over() as client:
        headers = {TAPE_HEADER: "packed", "content-encoding": name}
        answer = client.post(CHAT_PATH, content=pack(json.dumps(CHAT).encode()), headers=headers)
    assert sent(at.upstream.seen[0]) == CHAT and "content-encoding" not in at.upstream.seen[0].headers
    assert answer.content == whole
    at.balanced()


def test_usage_nobody_asked_for_is_asked_for_and_withheld(over: Over, at: Yard) -> None:
    with over() as client:
        answer = client.post(CHAT_PATH, json=STREAM)
        asked = client.post(CHAT_PATH, json={**STREAM, "stream_options": {"include_usage": True}})
    first, second = at.upstream.seen
    assert sent(first)["stream_options"] == {"include_usage": True}
    assert first.headers["accept-encoding"] == "identity", "nothing can be taken out of a packed stream"
    assert "usage" not in answer.text and answer.text.endswith("data: [DONE]\n\n")
    assert second.headers["accept-encoding"] == "gzip" and json.dumps(CHAT_USAGE) in asked.text
    at.balanced()


def test_the_first_byte_arrives_before_the_second_chunk_exists(over: Over, at: Yard) -> None:
    let_go = threading.Event()
    at.upstream.tape["slow"] = Answer.stream(CHUNKS[0], Wait(let_go), *CHUNKS[1:], *USAGE_CHUNK)
    with over() as client, client.stream("POST", CHAT_PATH, json=STREAM, headers={TAPE_HEADER: "slow"}) as answer:
        pieces = answer.iter_raw()
        assert next(pieces) == CHUNKS[0] and not at.upstream.sent_whole
        let_go.set()
        assert b"".join(pieces) == b"".join(CHUNKS[1:]) + USAGE_CHUNK[1]
    at.balanced()


OTHERS = {
    "model list": ("GET", "/v1/models", 200),
    "a stored answer": ("GET", "/v1/responses/resp_1", 404),
    "a file": ("POST", "/v1/files", 404),
    "a thread's message": ("POST", "/v1/threads/t_1/messages", 404),
    "gemini's file": ("POST", "/upload/v1beta/files", 404),
    "cancelled": ("POST", "/v1/batches/b_1/cancel", 404),
    "deleted": ("DELETE", "/v1/responses/resp_1", 404),
    "speech": ("POST", "/v1/audio/speech", 403),
    "images": ("POST", "/v1/images/generations", 403),
    "a batch": ("POST", "/v1/batches", 403),
    "claude's batch": ("POST", "/v1/messages/batches", 403),
    "a run": ("POST", "/v1/threads/t_1/runs", 403),
    "gemini's vectors": ("POST", "/v1beta/models/gemini-embedding-001:embedContent", 403),
    "claude at vertex": ("POST", "/v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict", 403),
    "claude at bedrock": ("POST", "/model/claude/invoke", 403),
}


@pytest.mark.parametrize(("method", "path", "status"), OTHERS.values(), ids=OTHERS)
def test_what_is_no_metered_route(at: Yard, over: Over, method: str, path: str, status: int) -> None:
    with over() as client:
        answer = client.request(method, path, headers={"x-weighbridge-tags": "a=b"})
    assert answer.status_code == status
    assert len(at.upstream.seen) == (status != 403)
    assert not any("x-weighbridge-tags" in seen.headers for seen in at.upstream.seen)
    if status == 403:
        assert "unmetered_routes: forward" in answer.text and f"{method} {path}" in answer.text


def test_unmetered_routes_pass_where_allowed(over: Over, at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_UNMETERED_ROUTES", "forward")
    with over() as client:
        assert client.post("/v1/audio/speech", json={}).status_code == 404
    assert len(at.upstream.seen) == 1


def test_a_socket_is_no_reading(over: Over, at: Yard) -> None:
    with over() as client:
        asked = client.get("/v1/realtime", headers={"upgrade": "websocket", "connection": "upgrade"})
    assert asked.status_code == 403 and not at.upstream.seen


PLACES = {
    "groq": "/openai/v1/chat/completions",
    "gemini": "/v1beta/openai/chat/completions",
    "deepseek": "/chat/completions",
    "zai": "/api/paas/v4/chat/completions",
    "azure": "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-10-21",
}


@pytest.mark.parametrize("path", PLACES.values(), ids=PLACES)
def test_base_paths_of_other_providers(over: Over, at: Yard, path: str) -> None:
    at.upstream.tape["there"] = Answer.json({"choices": [], "usage": CHAT_USAGE})
    with over() as client:
        answer = client.post(path, json=CHAT, headers={TAPE_HEADER: "there"})
    assert answer.status_code == 200 and at.entry(answer).dialect == "openai-chat"
    at.balanced()


def test_rerouted_by_the_path(over: Over, at: Yard) -> None:
    with over("rerouted") as client:
        body = {"contents": [{"parts": [{"text": "What does the lorry weigh?"}]}]}
        answer = client.post("/v1beta/models/gemini-2.5-flash:generateContent?alt=json", json=body)
    (seen,) = at.upstream.seen
    assert (seen.path, seen.query) == ("/v1beta/models/gemini-2.5-flash-lite:generateContent", "alt=json")
    assert answer.headers["x-weighbridge-decision"] == "reroute"


def test_clamped(over: Over, at: Yard) -> None:
    with over("narrow") as client:
        answer = client.post(CHAT_PATH, json={**CHAT, "max_tokens": 4000})
    assert answer.headers["x-weighbridge-decision"] == "clamp"
    assert sent(at.upstream.seen[0])["max_tokens"] == 50
    at.balanced()


def test_tags_of_a_request_have_budgets_too(over: Over, at: Yard) -> None:
    with over() as client:
        capped = {"x-weighbridge-tags": "run=capped"}
        answers = [client.post(CHAT_PATH, json=CHAT, headers=capped).status_code for _ in range(2)]
        wrong = client.post(CHAT_PATH, json=CHAT, headers={"x-weighbridge-tags": "run"})
    assert answers == [200, 429] and wrong.status_code == 400
    at.balanced()


def test_the_store_is_down(over: Over, at: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(verb: Any) -> Any:
        raise StoreUnavailable("no answer in time")

    monkeypatch.setattr(at.store, "run", down)
    with over() as client:
        answer = client.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert not at.upstream.seen


REFUSALS = {
    "budget": ("broke", CHAT_PATH, CHAT),
    "window": ("short", CHAT_PATH, {**CHAT, "messages": [{"role": "user", "content": "seven tons " * 40}]}),
    "malformed": ("free", CHAT_PATH, {**CHAT, "max_tokens": -5}),
    "claude": ("broke", "/v1/messages", {**CHAT, "model": "claude-haiku-4-5", "max_tokens": 9}),
    "gemini": ("broke", "/v1beta/models/gemini-2.5-flash:generateContent", {"contents": [{"parts": [{"text": "a"}]}]}),
    "counted": ("free", "/v1/messages/count_tokens", {**CHAT, "model": "claude-haiku-4-5"}),
}


@pytest.mark.parametrize(("team", "path", "body"), REFUSALS.values(), ids=REFUSALS)
async def test_the_same_words_as_by_the_other_ways_in(over: Over, at: Yard, team: str, path: str, body: Any) -> None:
    async def nobody(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("what is refused must not pass")

    gate = Weighbridge(nobody, guard=at.async_guard, identify=lambda scope: Principal(team=team))
    async with AsyncClient(transport=ASGITransport(gate), base_url="http://gate") as client:
        theirs = await client.post(path, json=body)
    with over(team) as sync:
        ours = sync.post(path, json=body)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
    assert _lasting(ours.headers) == _lasting(theirs.headers)
    assert not at.upstream.seen


def _lasting(headers: Any) -> dict[str, str]:
    """Headers that are the same from second to second and from request to request."""
    return {k: v for k, v in headers.items() if k not in ("x-weighbridge-request-id", "retry-after")}


def test_guard_or_store(at: Yard, over: Over) -> None:
    with pytest.raises(TypeError, match="not both"), over(guard=at.guard, store="memory://"):
        pytest.fail("no client comes of it")
