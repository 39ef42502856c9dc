"""What runs a model and cannot be weighed is refused by a LiteLLM proxy too, and what runs none passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from gateway.sdks import QUESTION
from gateway.upstream import Upstream, serving, until
from proxied.conftest import Bill, Rig
from proxied.running import key_of, proxied

SAID: Any = [{"role": "user", "content": QUESTION}]
CHAT: Any = {"model": "fast", "messages": SAID}
FILE: Any = {"files": {"file": ("a.wav", b"RIFF", "audio/wav")}}
FIX = "unmetered_routes: forward"

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "images": ("/v1/images/generations", {"json": {"model": "pictures", "prompt": "a lorry"}}),
    "images, edited": ("/v1/images/edits", {"data": {"model": "pictures", "prompt": "x"}, "files": {"image": b"x"}}),
    "speech": ("/v1/audio/speech", {"json": {"model": "fast", "input": "x", "voice": "alloy"}}),
    "transcription": ("/v1/audio/transcriptions", {"data": {"model": "fast"}, **FILE}),
    "rerank": ("/v1/rerank", {"json": {"model": "fast", "query": "x", "documents": ["y"]}}),
    "ocr": ("/v1/ocr", {"json": {"model": "fast", "document": {"type": "document_url", "document_url": "http://x"}}}),
    "search": ("/v1/search", {"json": {"search_tool_name": "x", "query": "y"}}),
    "videos": ("/v1/videos", {"data": {"model": "fast", "prompt": "x"}}),
    "a video made longer": ("/v1/videos/extensions", {"json": {"video": {"id": "v"}, "prompt": "x"}}),
    "a batch": (
        "/v1/batches",
        {"json": {"input_file_id": "f", "endpoint": "/v1/chat/completions", "completion_window": "24h"}},
    ),
    "a batch at a provider": ("/openai/v1/batches", {"json": {"input_file_id": "f"}}),
    "fine-tuning": ("/v1/fine_tuning/jobs", {"json": {"model": "fast", "training_file": "f"}}),
    "a run of an assistant": ("/v1/threads/t_1/runs", {"json": {"assistant_id": "a"}}),
    "a run of evals": ("/v1/evals/e_1/runs", {"json": {"name": "x"}}),
    "a response compacted": ("/v1/responses/compact", {"json": {"model": "fast", "input": QUESTION}}),
    "an interaction": ("/v1beta/interactions", {"json": {"model": "gem", "input": QUESTION}}),
    "a container": ("/v1/containers", {"json": {"name": "x"}}),
    "a store searched": ("/v1/vector_stores/vs_1/search", {"json": {"query": "x"}}),
    "RAG": (
        "/v1/rag/query",
        {"json": {**CHAT, "retrieval_config": {"vector_store_id": "v"}}},
    ),
    "an agent": ("/a2a/agent-1/message/send", {"json": {"jsonrpc": "2.0", "id": "1", "method": "message/send"}}),
    "a realtime secret": ("/v1/realtime/client_secrets", {"json": {"model": "fast"}}),
    "a realtime call": ("/v1/realtime/calls", {"content": b"v=0", "headers": {"content-type": "application/sdp"}}),
    "the queue": ("/queue/chat/completions", {"json": {**CHAT, "priority": 0}}),
    "decisions": ("/v1/decisions", {"json": {"model": "fast", "input": "x"}}),
    "images, passed through": ("/openai/v1/images/generations", {"json": {"model": "gpt-image-1", "prompt": "x"}}),
    "images, through a route of one's own": ("/there/v1/images/generations", {"json": {"prompt": "x"}}),
    "sound, through a route of one's own": ("/there/v1/audio/transcriptions", {"data": {"model": "x"}, **FILE}),
    "Anthropic's batches": ("/anthropic/v1/messages/batches", {"json": {"requests": []}}),
    "Gemini's vectors": ("/gemini/v1beta/models/g:embedContent", {"json": {"content": {}}}),
    "Vertex": ("/vertex_ai/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict", {"json": {}}),
    "Bedrock": ("/bedrock/model/claude/converse", {"json": {"messages": []}}),
    "Azure, to a model of the router": ("/azure/openai/deployments/at-azure/chat/completions", {"json": CHAT}),
    "around a corner": ("/there/v1/files/%252e%252e/images/generations", {"json": {"prompt": "x"}}),
}


@pytest.mark.parametrize(("path", "asked"), REFUSED.values(), ids=REFUSED)
def test_refused(path: str, asked: dict[str, Any], rig: Rig) -> None:
    with rig.client() as client:
        answer = client.post(path, **asked)
    assert answer.status_code == 403 and FIX in answer.text
    assert _bought(rig) == rig.settled() == []


LITELLM_FIRST = ("search", "fine-tuning", "an agent", "a realtime call", "Vertex", "decisions")
"""LiteLLM finds a fault of its own with these before it asks a hook."""
ALONE = {name: asked for name, asked in REFUSED.items() if name != "a run of an assistant"}


@pytest.mark.parametrize(("path", "asked"), ALONE.values(), ids=ALONE)
def test_refused_by_the_plugin_alone(path: str, asked: dict[str, Any], alone: Rig, request: Any) -> None:
    logged = len(_logged(alone))
    with alone.client() as client:
        answer = client.post(path, **asked)
    assert answer.status_code >= 400
    # Without prisma LiteLLM stumbles over refusals on some routes: then its log has the reason.
    assert FIX in answer.text + _logged(alone, logged) or request.node.callspec.id in LITELLM_FIRST
    assert _bought(alone) == alone.settled() == []


def test_the_plugin_alone_does_not_see_runs_of_assistants(alone: Rig) -> None:
    """LiteLLM calls no hook for them.  Should it begin to, LITELLM.md has a line less."""
    with alone.client() as client:
        client.post("/v1/threads/t_1/runs", json={"assistant_id": "a"})
    assert _bought(alone) == ["/v1/threads/t_1/runs"]


WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "OpenAI's": ("/v1/images/generations", ("error", "code")),
    "Anthropic's": ("/anthropic/v1/messages/batches", ("error", "type")),
    "Gemini's": ("/gemini/v1beta/models/g:embedContent", ("error", "status")),
}
SAYS = {"OpenAI's": "unmetered_route", "Anthropic's": "permission_error", "Gemini's": "PERMISSION_DENIED"}


@pytest.mark.parametrize("whose", WORDS)
def test_in_the_providers_own_words(whose: str, rig: Rig) -> None:
    path, where = WORDS[whose]
    with rig.client() as client:
        said = client.post(path, json={}).json()
    for name in where:
        said = said[name]
    assert said == SAYS[whose]


FREE: dict[str, tuple[str, str, dict[str, Any]]] = {
    "models": ("GET", "/v1/models", {}),
    "alive": ("GET", "/health/liveliness", {}),
    "a new key": ("POST", "/key/generate", {"json": {}}),
    "a model's price": ("POST", "/cost/estimate", {"json": {"model": "fast"}}),
    "tokens counted": ("POST", "/utils/token_counter", {"json": CHAT}),
    "tokens counted for Claude": ("POST", "/v1/messages/count_tokens", {"json": {**CHAT, "model": "claude"}}),
    "tokens counted, passed through": ("POST", "/anthropic/v1/messages/count_tokens", {"json": CHAT}),
    "moderation": ("POST", "/v1/moderations", {"json": {"model": "fast", "input": "x"}}),
    "a file": ("POST", "/v1/files", {"data": {"purpose": "batch"}, "files": {"file": ("a.jsonl", b"{}")}}),
    "files": ("GET", "/v1/files", {}),
    "a batch, looked at": ("GET", "/v1/batches/batch_1", {}),
    "a response, looked at": ("GET", "/v1/responses/resp_1", {}),
    "a vector store": ("POST", "/v1/vector_stores", {"json": {"name": "x"}}),
    "an assistant": ("POST", "/v1/assistants", {"json": {"model": "fast"}}),
    "a message in a thread": ("POST", "/v1/threads/t_1/messages", {"json": {"role": "user", "content": "x"}}),
    "tools": ("POST", "/mcp/", {"json": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}}),
    "models, passed through": ("GET", "/openai/v1/models", {}),
    "an upload, passed through": ("POST", "/there/v1/uploads", {"json": {}}),
    "a response, passed through": ("GET", "/there/v1/responses/resp_1", {}),
    "a message, passed through": ("POST", "/there/v1/threads/t_1/messages", {"json": {"role": "user"}}),
}


@pytest.mark.parametrize("form", ["rig", "alone"])
@pytest.mark.parametrize(("method", "path", "asked"), FREE.values(), ids=FREE)
def test_what_runs_no_model_passes(
    method: str, path: str, asked: dict[str, Any], form: str, request: pytest.FixtureRequest
) -> None:
    rig: Rig = request.getfixturevalue(form)
    logged = len(_logged(rig))
    with rig.client() as client:
        answer = client.request(method, path, **asked)
    assert FIX not in answer.text + _logged(rig, logged)
    sent = [(seen.method, seen.path) for seen in rig.upstream.seen]
    assert not path.startswith("/there") or (method, path.removeprefix("/there")) in sent
    rig.proxy.quiet()
    assert rig.entries() == []


def test_the_wrapper_knows_a_reading_by_its_method(rig: Rig, alone: Rig) -> None:
    for of in (rig, alone):
        with of.client() as client:
            answer = client.get("/there/v1/videos/v_1")
        assert (FIX in answer.text) is (of is alone)


SESSIONS = (
    "/v1/realtime?model=fast", "/v1/responses?model=fast", "/openai/v1/realtime?model=gpt-realtime",
    "/openai/v1/responses", "/vertex_ai/live", "/v1/live/sessions", "/deepgram/v1/listen",
)  # fmt: skip


@pytest.mark.parametrize("form", ["rig", "alone"])
@pytest.mark.parametrize("path", SESSIONS)
def test_no_session_begins(path: str, form: str, request: pytest.FixtureRequest) -> None:
    rig: Rig = request.getfixturevalue(form)
    url = rig.url.replace("http", "ws") + path
    headers = {"authorization": f"Bearer {key_of('free')}"}
    with pytest.raises(WebSocketException) as raised, connect(url, additional_headers=headers) as session:
        for begin in ("session.start", "response.create"):
            session.send(f'{{"type": "{begin}", "model": "fast", "response": {{"model": "fast"}}}}')
        while True:
            assert "error" in session.recv(timeout=10)
    assert form == "alone" or (isinstance(raised.value, InvalidStatus) and raised.value.response.status_code == 403)
    assert _bought(rig) == rig.settled() == []


def test_a_client_cannot_hide_what_passes_through(alone: Rig) -> None:
    asked = {"model": "gpt-4o-mini", "messages": SAID, "litellm_call_id": "mine", "metadata": {}}
    with alone.client() as client:
        assert client.post("/there/v1/chat/completions", json=asked).status_code == 200
    assert len(alone.settled()) == 1


@pytest.fixture(scope="module")
def forwarding() -> Iterator[Rig]:
    """A wrapped proxy that forwards what it cannot weigh."""
    bill = Bill()
    upstream = Upstream(bill.answer)
    with serving(upstream) as url, proxied(url, {"policies": []}, workers=1, unmetered_routes="forward") as proxy:
        yield Rig(proxy, upstream, bill)


def test_passes_unmetered_where_the_settings_say_so(forwarding: Rig) -> None:
    forwarding.upstream.seen.clear()
    with forwarding.client() as client:
        client.post("/v1/images/generations", json={"model": "pictures", "prompt": "a lorry"})
        client.post("/there/v1/images/generations", json={"model": "pictures", "prompt": "a lorry"})
        queued = client.post("/queue/chat/completions", json={**CHAT, "priority": 0})
        metered = client.post("/v1/chat/completions", json=CHAT)
    assert queued.status_code == 200 and metered.headers["x-weighbridge-decision"] == "admit"
    pictures, chats = "/v1/images/generations", "/v1/chat/completions"
    assert _bought(forwarding) == [pictures, pictures, chats, chats]
    until(forwarding.entries, "the metered one to be settled")
    forwarding.proxy.quiet()
    assert len(forwarding.entries()) == 1


def _bought(rig: Rig) -> list[str]:
    """Paths that were posted to at the provider.  LiteLLM looks for lists of models by itself."""
    return [seen.path for seen in rig.upstream.seen if seen.method == "POST"]


def _logged(rig: Rig, since: int = 0) -> str:
    return rig.proxy.log.read_text()[since:]
