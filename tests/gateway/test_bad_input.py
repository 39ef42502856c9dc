"""Bad input is answered with a 4xx in the client's own dialect; nothing stays held and nothing falls over."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.bodies import GOOD, PROMPT_FIELD, machine_part, refused, with_prompt
from gateway.running import Gateway
from gateway.upstream import TAPE_HEADER, Upstream

FORMATS = pytest.mark.parametrize("format", list(GOOD))
MEGABYTE = 1024 * 1024


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "not-json": b"hello",
    "cut-off": b'{"model": "gpt-4o-mini", "messages": [{"role": "us',
    "two-documents": b"{}{}",
    "an-array": b"[]",
    "null": b"null",
    "a-number": b"17",
    "a-string": b'"{}"',
    "not-utf-8": b'{"model": "\xff\xfe"}',
    "nan": b'{"model": "gpt-4o-mini", "temperature": NaN}',
    "infinity": b'{"model": "gpt-4o-mini", "temperature": -Infinity}',
    "deep": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep-objects": b'{"x":' * 5000 + b"1" + b"}" * 5000,
    "duplicate-key": b'{"model": "gpt-4o-mini", "model": "gpt-4o"}',
    "duplicate-inside": b'{"messages": [{"role": "user", "role": "user", "content": "x"}]}',
    "huge-number": b'{"max_tokens": ' + b"9" * 5000 + b"}",
    "nul": b'{"model": "gpt-4o-mini"}\x00',
}


@FORMATS
@pytest.mark.parametrize("body", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_json_object(client: httpx.Client, format: str, body: bytes) -> None:
    refused(format, client.post(GOOD[format][0], content=body))


WRONG: list[Any] = [17, True, {"parts": 7}, [[["x"]]], [None], [17.5, {}], [{"role": 7, "content": 7, "parts": 7}]]


@FORMATS
@pytest.mark.parametrize("value", WRONG, ids=json.dumps)
def test_prompts_of_the_wrong_type(client: httpx.Client, format: str, value: Any) -> None:
    path, body = GOOD[format]
    refused(format, client.post(path, json={**body, PROMPT_FIELD[format]: value}))


LIMITS: dict[str, list[dict[str, Any]]] = {
    "openai-chat": [
        {"max_tokens": -1}, {"max_tokens": 0}, {"max_tokens": "100"}, {"max_tokens": 1.5}, {"max_tokens": True},
        {"max_tokens": 10**30}, {"n": -1}, {"n": 0}, {"n": "2"}, {"n": [1]}, {"stream": "yes"}, {"stream": 1},
        {"max_tokens": 10, "max_completion_tokens": 20}, {"model": 7}, {"model": ""}, {"model": None}, {"tools": "x"},
        {"tools": [7]}, {"stream_options": []}, {"messages": []},
    ],
    "openai-responses": [{"max_output_tokens": -1}, {"max_output_tokens": "9"}, {"stream": "x"}, {"model": []}],
    "openai-completions": [{"max_tokens": -1}, {"n": -2}, {"best_of": "x"}, {"model": {}}],
    "openai-embeddings": [{"model": 1}, {"input": []}, {"input": [[]]}],
    "anthropic-messages": [
        {"max_tokens": -1}, {"max_tokens": None}, {"max_tokens": "9"}, {"model": 7}, {"stream": 1},
        {"messages": []}, {"tools": {}}, {"system": 7}, {"thinking": "on"},
    ],
    "gemini-generate": [
        {"generationConfig": {"maxOutputTokens": -1}}, {"generationConfig": {"candidateCount": -1}},
        {"generationConfig": []}, {"tools": 7}, {"systemInstruction": 7}, {"contents": []},
    ],
}  # fmt: skip
"""Format -> fields laid over a good body that its provider would refuse.  (Claude takes a `max_tokens` of 0.)"""
LIMIT_CASES = [pytest.param(f, more, id=f"{f}-{json.dumps(more)[:50]}") for f, many in LIMITS.items() for more in many]


@pytest.mark.parametrize(("format", "more"), LIMIT_CASES)
def test_contradictory_and_impossible_fields(client: httpx.Client, format: str, more: dict[str, Any]) -> None:
    path, body = GOOD[format]
    refused(format, client.post(path, json={**body, **more}))


@pytest.mark.parametrize("format", [f for f in GOOD if f != "gemini-generate"])
def test_models_nobody_knows(client: httpx.Client, format: str) -> None:
    path, body = GOOD[format]
    refused(format, client.post(path, json={**body, "model": "nobody-knows-me-1"}), 403, "unpriced_model")


def test_a_gemini_model_nobody_knows(client: httpx.Client) -> None:
    body = GOOD["gemini-generate"][1]
    answer = client.post("/v1beta/models/nobody-knows-me-1:generateContent", json=body)
    refused("gemini-generate", answer, 403, "unpriced_model")


@FORMATS
def test_twenty_megabytes_are_refused_without_counting_them_all(client: httpx.Client, format: str) -> None:
    words = "weighed and found wanting, " * (20 * MEGABYTE // 27)
    refused(format, client.post(GOOD[format][0], json=with_prompt(format, words)), 400, "context_length")


@FORMATS
def test_more_than_the_largest_body(client: httpx.Client, format: str) -> None:
    path, _ = GOOD[format]
    refused(format, client.post(path, content=b" " * (33 * MEGABYTE)), 413, "too_large")


@pytest.mark.parametrize(
    "text",
    [" " * MEGABYTE, "a" * MEGABYTE, "\u2028" * 300_000, "<|endoftext|>" * 80_000],
    ids=["blanks", "one-letter", "separators", "specials"],
)
def test_texts_that_stall_tokenizers(client: httpx.Client, text: str) -> None:
    path, body = GOOD["openai-chat"]
    answer = client.post(path, json={**body, "messages": [{"role": "user", "content": text}]})
    assert answer.status_code in (200, 400)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}


@FORMATS
@pytest.mark.parametrize("encoding", list(PACKED))
def test_compressed_bodies_are_read(client: httpx.Client, upstream: Upstream, format: str, encoding: str) -> None:
    path, body = GOOD[format]
    headers = {"content-encoding": encoding, TAPE_HEADER: f"packed-{format}-{encoding}"}
    plain = json.dumps(body).encode()
    assert client.post(path, content=PACKED[encoding](plain), headers=headers).status_code == 200
    (seen,) = upstream.of(headers[TAPE_HEADER])
    assert (seen.body, seen.headers.get("content-encoding")) == (plain, None)


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "rot13", "gzip, gzip"])
def test_encodings_that_are_not_read(client: httpx.Client, encoding: str) -> None:
    path, body = GOOD["openai-chat"]
    answer = client.post(path, content=json.dumps(body), headers={"content-encoding": encoding})
    refused("openai-chat", answer, 415, "unsupported_media")


@pytest.mark.parametrize(
    "body",
    [b"not packed at all", gzip.compress(b'{"model": "gpt-4o-mini"}')[:-9], b""],
    ids=["not-packed", "cut-off", "empty"],
)
def test_broken_compression(client: httpx.Client, body: bytes) -> None:
    path, _ = GOOD["anthropic-messages"]
    refused("anthropic-messages", client.post(path, content=body, headers={"content-encoding": "gzip"}))


def test_a_bomb_is_not_unpacked(client: httpx.Client) -> None:
    bomb = gzip.compress(b"[" * (300 * MEGABYTE), 9)
    assert len(bomb) < MEGABYTE
    answer = client.post("/v1/messages", content=bomb, headers={"content-encoding": "gzip"})
    refused("anthropic-messages", answer, 413, "too_large")


def test_chunked_bodies_are_read(client: httpx.Client, upstream: Upstream) -> None:
    path, body = GOOD["openai-chat"]
    plain = json.dumps(body).encode()

    def pieces() -> Iterator[bytes]:
        yield from (plain[i : i + 7] for i in range(0, len(plain), 7))

    assert client.post(path, content=pieces(), headers={TAPE_HEADER: "chunked"}).status_code == 200
    assert upstream.of("chunked")[-1].body == plain


def test_a_chunked_body_without_end_is_bounded(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * MEGABYTE

    try:
        answer = client.post("/v1/chat/completions", content=endless())
    except httpx.TransportError:
        return  # Answered and closed while we were still talking, which is as good.
    refused("openai-chat", answer, 413, "too_large")


def test_a_length_that_lies(gateway: Gateway, key: str) -> None:
    """More announced than sent, and then silence: the client leaves, and nothing is held."""
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])), 10) as raw:
        raw.sendall((head + "content-length: 100000\r\n\r\n").encode() + b'{"model": "gpt-4o-mini"')
    gateway.quiet()
    assert httpx.get(f"{gateway.url}/health/live").status_code == 200


def test_a_length_that_is_no_number(gateway: Gateway, key: str) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])), 10) as raw:
        raw.sendall((head + "content-length: twelve\r\n\r\n{}").encode())
        assert raw.recv(1000).startswith(b"HTTP/1.1 400")


def test_huge_headers(client: httpx.Client) -> None:
    path, body = GOOD["openai-chat"]
    try:
        answer = client.post(path, json=body, headers={"x-large": "x" * MEGABYTE})
    except httpx.TransportError:
        return  # Closed while we were still talking.
    assert 400 <= answer.status_code < 500


UNKNOWN = [
    ("GET", "/", 404), ("POST", "/nothing", 404), ("GET", "/.env", 404), ("POST", "/v1", 404),
    ("POST", "/v1/images/generations", 403), ("POST", "/v1/audio/speech", 403), ("GET", "/v1/files", 403),
    ("POST", "/v1/batches", 403), ("POST", "/v1/messages/batches", 403), ("DELETE", "/v1/models/x", 403),
    ("POST", "/v1beta/models/gemini-2.5-flash:batchEmbedContents", 403), ("GET", "/v1/chat/completions", 403),
    ("PUT", "/v1/messages", 403), ("POST", "/v1/chat/completions/", 400),
    ("POST", "/v1beta/models/gemini-2.5-flash:explode", 403),
    ("GET", "/v1/models/%2e%2e/files", 404), ("POST", "/v1beta/models/%2E%2e/%2e./v1/files:generateContent", 404),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status"), UNKNOWN)
def test_routes_that_cannot_be_metered(
    client: httpx.Client, upstream: Upstream, method: str, path: str, status: int
) -> None:
    before = len(upstream.seen)
    answer = client.request(method, path)
    assert answer.status_code in (status, 405)
    anthropic, gemini = path.startswith("/v1/messages"), path.startswith("/v1beta")
    machine_part("anthropic-messages" if anthropic else "gemini-generate" if gemini else "openai-chat", answer)
    assert len(upstream.seen) == before, "nothing reached the provider"


def test_nothing_of_this_was_too_much(gateway: Gateway, client: httpx.Client) -> None:
    """After all that the gateway still works, and its log tells of no crash."""
    path, body = GOOD["openai-chat"]
    assert client.post(path, json=body).status_code == 200
    assert "Traceback" not in gateway.log.read_text()
