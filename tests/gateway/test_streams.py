"""Streams: every chunk at once, and whatever becomes of them, the ledger knows what they cost."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from gateway import provider
from gateway.provider import ANSWER, CHAT_USAGE, PROMPT, WORDS, sse
from gateway.running import Gateway
from gateway.upstream import SILENCE, TAPE_HEADER, Answer, Break, Seen, Step, Upstream, Wait, until

ASK: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": (
        "/v1/chat/completions",
        {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "Weigh."}]},
    ),
    "openai-responses": ("/v1/responses", {"model": "gpt-4o-mini", "stream": True, "input": "Weigh."}),
    "openai-completions": (
        "/v1/completions",
        {"model": "gpt-3.5-turbo-instruct", "stream": True, "prompt": "Weigh.", "max_tokens": 50},
    ),
    "anthropic-messages": (
        "/v1/messages",
        {
            "model": "claude-haiku-4-5",
            "stream": True,
            "max_tokens": 64,
            "messages": [{"role": "user", "content": "Weigh."}],
        },
    ),
    "gemini-generate": (
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        {"contents": [{"parts": [{"text": "Weigh."}]}]},
    ),
    "gemini-array": (
        "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
        {"contents": [{"parts": [{"text": "Weigh."}]}]},
    ),
}
"""Format -> (path, body)."""
FORMATS = pytest.mark.parametrize("format", list(ASK))


def asking(format: str, name: str = "", **more: Any) -> dict[str, Any]:
    """A streamed request as httpx takes it; `name` is its answer on the upstream's tape."""
    path, body = ASK[format]
    return {"url": path, "json": {**body, **more}, "headers": {TAPE_HEADER: name}}


def well_behaved(format: str, **more: Any) -> Answer:
    """What the provider answers when asked so, usage asked for where it must be."""
    path, body = ASK[format]
    asked = {**body, "stream_options": {"include_usage": True}, **more}
    path, _, query = path.partition("?")
    say = next(say for end, say in provider.ROUTES.items() if path.endswith(end))
    return say(Seen("POST", path, query, {}, json.dumps(asked).encode()))


def chunks_of(answer: Answer) -> list[bytes]:
    """The chunks of an answer."""
    return [step for step in answer.steps if isinstance(step, bytes)]


@FORMATS
def test_the_first_byte_arrives_before_the_second_chunk_exists(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str
) -> None:
    let_go = threading.Event()
    answer = well_behaved(format)
    first, *rest = chunks_of(answer)
    upstream.tape[f"first-{format}"] = Answer((first, Wait(let_go), *rest), 200, answer.headers)
    with client.stream("POST", **asking(format, f"first-{format}")) as response:
        pieces = response.iter_raw()
        begun = next(pieces)
        assert first.startswith(begun) and upstream.sent_whole[-1:] != upstream.of(f"first-{format}")
        let_go.set()
        assert begun + b"".join(pieces) == b"".join([first, *_shown(format, rest)])
    entry = gateway.entry(response)
    assert (entry.ending, entry.input, entry.output) == ("reported", PROMPT, ANSWER)


def _shown(format: str, chunks: list[bytes]) -> list[bytes]:
    """Chunks less those that are there for usage only, which the client did not ask for."""
    if format not in ("openai-chat", "openai-completions"):
        return chunks
    return [chunk for chunk in chunks if b'"choices": []' not in chunk]


@pytest.mark.parametrize("format", ["openai-chat", "openai-completions"])
def test_usage_nobody_asked_for_is_asked_for_and_withheld(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str
) -> None:
    response = client.post(**asking(format, "withheld-" + format))
    sent = upstream.of("withheld-" + format)[-1]
    assert sent.json()["stream_options"] == {"include_usage": True}
    assert sent.headers["accept-encoding"] == "identity", "nothing can be taken out of a packed stream"
    assert "usage" not in response.text and response.text.endswith("data: [DONE]\n\n")
    assert gateway.entry(response).output == ANSWER


@pytest.mark.parametrize("format", ["openai-chat", "openai-completions"])
def test_usage_asked_for_is_passed_on(client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str) -> None:
    asked = asking(format, "asked-" + format, stream_options={"include_usage": True})
    response = client.post(**asked)
    sent = upstream.of("asked-" + format)[-1].body
    assert sent == response.request.content, "nothing to change: byte for byte"
    assert json.dumps(CHAT_USAGE) in response.text
    assert gateway.entry(response).output == ANSWER


@FORMATS
@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_an_error_before_the_first_byte_costs_nothing(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str, status: int
) -> None:
    error = {"error": {"message": "the provider says no", "type": "whatever"}}
    upstream.tape[f"error-{status}"] = Answer.json(error, status, {"retry-after": "7", "x-provider": "yes"})
    before = len(gateway.entries())
    response = client.post(**asking(format, f"error-{status}"))
    assert (response.status_code, response.json()) == (status, error)
    assert (response.headers["retry-after"], response.headers["x-provider"]) == ("7", "yes")
    gateway.quiet()
    assert len(gateway.entries()) == before


@FORMATS
def test_a_connection_closed_without_a_byte_costs_nothing(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str
) -> None:
    before = len(gateway.entries())
    response = client.post(**asking(format, SILENCE))
    assert response.status_code == 502 and "closed the connection" in response.text
    gateway.quiet()
    assert len(gateway.entries()) == before


@FORMATS
def test_a_stream_the_provider_breaks_off_costs_what_was_seen(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str
) -> None:
    answer = well_behaved(format)
    seen = chunks_of(answer)[:-3]
    upstream.tape[f"broken-{format}"] = Answer((*seen, Break()), 200, answer.headers)
    got = bytearray()
    asked = asking(format, f"broken-{format}")
    with pytest.raises(httpx.RemoteProtocolError), client.stream("POST", **asked) as response:
        for piece in response.iter_raw():
            got += piece
    assert got == b"".join(seen), "what came is passed on, and its end is not made up"
    entry = gateway.entry(response)
    assert entry.ending.startswith("cut off")
    words = sum(f'"{word}"'.encode() in chunk for chunk in seen for word in WORDS)
    assert words <= entry.output <= 4 * ANSWER, "what was seen, and not the worst case"
    assert entry.input > 0
    gateway.quiet()


@FORMATS
def test_a_client_that_leaves_is_still_charged_what_the_provider_reports(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, format: str
) -> None:
    let_go = threading.Event()
    answer = well_behaved(format)
    first, *rest = chunks_of(answer)
    steps: tuple[Step, ...] = (first, Wait(let_go), *rest)
    upstream.tape[f"left-{format}"] = Answer(steps, 200, answer.headers)
    with client.stream("POST", **asking(format, f"left-{format}")) as response:
        next(response.iter_raw())
    let_go.set()
    entry = gateway.entry(response)
    assert (entry.ending, entry.input, entry.output) == ("reported", PROMPT, ANSWER)
    gateway.quiet()


def test_a_client_that_leaves_before_the_answer_holds_nothing(
    client: httpx.Client, gateway: Gateway, upstream: Upstream
) -> None:
    let_go = threading.Event()
    upstream.tape["never"] = Answer((Wait(let_go), *chunks_of(well_behaved("openai-chat"))), 200, {})
    path, body = ASK["openai-chat"]
    before = len(gateway.entries())
    with pytest.raises(httpx.ReadTimeout):
        client.post(path, json={**body, "stream": False}, headers={TAPE_HEADER: "never"}, timeout=0.5)
    assert upstream.of("never")
    let_go.set()
    gateway.quiet()
    until(lambda: len(gateway.entries()) == before + 1, "the call nobody waited for to be charged")


def test_a_stream_without_usage_is_an_estimate(client: httpx.Client, gateway: Gateway, upstream: Upstream) -> None:
    deltas = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS]
    upstream.tape["silent"] = Answer.stream(*sse(*deltas, done=True))
    response = client.post(**asking("openai-chat", "silent"))
    entry = gateway.entry(response)
    assert entry.ending == "cut off: no usage reported"
    assert len(WORDS) <= entry.output <= 4 * ANSWER


def test_usage_of_zero_is_a_fact(client: httpx.Client, gateway: Gateway, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    delta = {"choices": [{"index": 0, "delta": {"content": "free"}}]}
    upstream.tape["free"] = Answer.stream(*sse(delta, {"choices": [], "usage": usage}, done=True))
    entry = gateway.entry(client.post(**asking("openai-chat", "free")))
    assert (entry.ending, entry.input, entry.output, entry.nano_usd) == ("reported", 0, 0, 0)


def test_a_provider_that_cannot_be_reached_costs_nothing(client: httpx.Client, gateway: Gateway) -> None:
    before = len(gateway.entries())
    path, body = ASK["openai-chat"]
    response = client.post(path, json={**body, "model": "gpt-4o-unreachable"})
    assert response.status_code == 502
    assert response.json()["error"]["weighbridge"]["reason"] == "provider_down"
    gateway.quiet()
    assert len(gateway.entries()) == before


@pytest.mark.parametrize("length", [{"content-length": "5000"}, {}], ids=["announced", "chunked"])
def test_a_plain_answer_that_breaks_off_may_have_been_generated(
    client: httpx.Client, gateway: Gateway, upstream: Upstream, length: dict[str, str]
) -> None:
    """Nothing in it can be used, and the provider bills it all the same: the worst case is charged."""
    headers = {"content-type": "application/json", **length}
    upstream.tape["half"] = Answer((b'{"id": "chatcmpl-1", "choices": [', Break()), 200, headers)
    path, body = ASK["openai-chat"]
    before = len(gateway.entries())
    try:
        answer = client.post(path, json={**body, "stream": False, "max_tokens": 64}, headers={TAPE_HEADER: "half"})
    except httpx.RemoteProtocolError:
        assert not length, "an answer that is short of its length is never begun"
    else:
        assert answer.status_code in (502, 504)
        assert answer.json()["error"]["weighbridge"]["reason"] == "provider_down"
    until(lambda: len(gateway.entries()) == before + 1, "the charge")
    entry = gateway.entries()[-1]
    assert (entry.ending.startswith("cut off"), entry.output) == (True, 64)
    gateway.quiet()


def test_requests_reach_the_provider_byte_for_byte(client: httpx.Client, upstream: Upstream) -> None:
    body = b'{ "messages":[{"role":"user","content":"\\u00fc \xc3\xbc"}],\n "top_p": 1.0e0, "model":"gpt-4o-mini"}'
    headers = {TAPE_HEADER: "bytes", "content-type": "application/json", "openai-organization": "org-1"}
    assert client.post("/v1/chat/completions", content=body, headers=headers).status_code == 200
    (seen,) = upstream.of("bytes")
    assert seen.body == body
    assert seen.headers["authorization"] == "Bearer sk-of-openai", "the virtual key is swapped for the provider's"
    assert seen.headers["openai-organization"] == "org-1"
    assert not [name for name in seen.headers if name.startswith("x-weighbridge")]
