"""Every way a call can end, in every format: the ledger charges what was billed, or at least that, and says why."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.bills import invoice
from gateway.provider import ANSWER, PROMPT, WORDS, sse
from gateway.running import Gateway, providers, running
from gateway.test_streams import ASK, asking, chunks_of, well_behaved
from gateway.upstream import SILENCE, TAPE_HEADER, Answer, Break, Seen, Upstream, Wait, serving, until
from weighbridge.core.endings import WAYS
from weighbridge.core.ledger import Entry

LIMIT: Any = {"policies": [{"name": "all", "match": {}, "limit": {"usd": 1000}, "window": "lifetime"}]}
IN, OUT = "input_cost_per_token", "output_cost_per_token"
ELSEWHERE = {
    "answered with zero usage",  # test_bills.py
    "budget exhausted",  # test_outages_and_cuts.py
    "no answer in time, plain",  # test_no_answer_in_time.py
    "no answer in time, stream",
    "gateway shut down",  # where gateways are stopped
}
ERRORS: dict[str, Any] = {
    "openai-chat": {"error": {"message": "overloaded", "type": "server_error"}},
    "openai-responses": {
        "type": "response.failed",
        "response": {"status": "failed", "error": {"code": "server_error"}},
    },
    "openai-completions": {"error": {"message": "overloaded", "type": "server_error"}},
    "anthropic-messages": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "gemini-generate": {"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}},
}
"""Format -> what a provider says that gives up in mid stream."""
PLAIN = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "openai-completions": "/v1/completions",
    "anthropic-messages": "/v1/messages",
    "gemini-generate": "/v1beta/models/gemini-2.5-flash:generateContent",
}
LIMITS: dict[str, Any] = {
    "openai-responses": {"max_output_tokens": 64},
    "gemini-generate": {"generationConfig": {"maxOutputTokens": 64}},
}
WORST = 64
LAST = (b"completion_tokens", b'"delta": {"stop_reason', b"response.completed")
"""What the event of a stream has in it that reports all of its usage."""


@pytest.fixture(scope="module")
def upstream() -> Upstream:
    async def lost(seen: Seen) -> Answer:
        return Answer.json({"error": {"message": f"not on the tape: {seen.path}"}}, 404)

    return Upstream(lost)


@pytest.fixture(scope="module", params=["drain", "count"])
def streams(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, streams: str) -> Iterator[Gateway]:
    with serving(upstream) as base_url:
        nowhere = {"dialects": list(ASK)[:4], "base_url": "http://127.0.0.1:1", "models": ["gpt-4.1-nano"]}
        named = {**providers(base_url), "nowhere": nowhere}
        with running(base_url, LIMIT, auth="none", providers=named, streams={"on_disconnect": streams}) as started:
            yield started


class Ledger:
    """What a case does to the ledger: the journal's new lines, and what was charged beside them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._before = len(gateway.entries())
        self._spent = self._sum()

    def _sum(self) -> int:
        return sum(state.spent for state in self._gateway.counters("all").values())

    def ends(self, name: str) -> Entry | None:
        """The one line a case leaves, in the words of its way; None where the way leaves none."""
        way = WAYS[name]
        self._gateway.quiet()
        if not way.journal:
            assert (len(self._gateway.entries()), self._sum()) == (self._before, self._spent)
            return None
        until(lambda: len(self._gateway.entries()) == self._before + 1, "the journal's line")
        entry = self._gateway.entries()[-1]
        assert entry.ending.startswith(way.journal), entry.ending
        assert self._sum() - self._spent == entry.nano_usd
        return entry


@pytest.fixture
def ledger(gateway: Gateway) -> Ledger:
    gateway.quiet()
    return Ledger(gateway)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=30) as started:
        yield started


def billed(entry: Entry | None) -> None:
    """To the token and the nano-dollar."""
    assert entry is not None
    assert (entry.input, entry.output) == (PROMPT, ANSWER)
    assert entry.nano_usd == invoice(entry.model, {IN: PROMPT, OUT: ANSWER})


def at_least(entry: Entry | None, seen: list[bytes], most: int = 4 * ANSWER) -> None:
    """What a provider bills for as many words, and no worst case."""
    assert entry is not None
    words = sum(f'"{word}"'.encode() in chunk for chunk in seen for word in WORDS)
    assert max(1, words) <= entry.output <= most
    assert entry.input > 0
    assert entry.nano_usd == invoice(entry.model, {IN: entry.input, OUT: entry.output})


FORMATS = pytest.mark.parametrize("format", ASK)
PLAINLY = pytest.mark.parametrize("format", PLAIN)


@FORMATS
def test_answered(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    upstream.tape["whole"] = well_behaved(format)
    client.post(**asking(format, "whole"))
    billed(ledger.ends("answered"))


@FORMATS
@pytest.mark.parametrize("status", [400, 429, 503])
def test_refused(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str, status: int) -> None:
    upstream.tape["no"] = Answer.json({"error": {"message": "no"}}, status)
    assert client.post(**asking(format, "no")).status_code == status
    ledger.ends("refused by the provider")


@FORMATS
def test_closed_before_a_byte(client: httpx.Client, ledger: Ledger, format: str) -> None:
    assert client.post(**asking(format, SILENCE)).status_code == 502
    ledger.ends("connection closed before the first byte")


@pytest.mark.parametrize("format", ["openai-chat", "openai-responses", "openai-completions"])
def test_not_reached(client: httpx.Client, ledger: Ledger, format: str) -> None:
    assert client.post(**asking(format, "", model="gpt-4.1-nano")).status_code == 502
    ledger.ends("provider not reached")


@FORMATS
def test_broken_off_by_the_provider(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    answer = well_behaved(format)
    seen = chunks_of(answer)[:-3]
    upstream.tape["broken"] = Answer((*seen, Break()), 200, answer.headers)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(**asking(format, "broken"))
    at_least(ledger.ends("stream broken off by the provider"), seen)


@pytest.mark.parametrize("format", ["openai-chat", "openai-responses"])
def test_broken_off_while_it_may_have_reasoned(
    client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str
) -> None:
    """Nobody can know what was thought: what is held is at least that."""
    limit = {"max_output_tokens": 500} if format == "openai-responses" else {"max_completion_tokens": 500}
    answer = well_behaved(format)
    upstream.tape["thought"] = Answer((chunks_of(answer)[0], Break()), 200, answer.headers)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(**asking(format, "thought", model="o4-mini", **limit))
    entry = ledger.ends("stream broken off, reasoning unseen")
    assert entry is not None and entry.output == 500 and "reasoning may be hidden" in entry.ending


@pytest.mark.parametrize("format", ["openai-chat", "openai-completions", "openai-responses", "anthropic-messages"])
def test_broken_off_behind_its_usage(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    answer = well_behaved(format)
    chunks = chunks_of(answer)
    last = next(i for i, chunk in enumerate(chunks) if any(mark in chunk for mark in LAST))
    upstream.tape["nearly"] = Answer((*chunks[: last + 1], Break()), 200, answer.headers)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(**asking(format, "nearly"))
    billed(ledger.ends("stream broken off behind its usage"))


@pytest.mark.parametrize("format", ERRORS)
def test_error_in_mid_stream(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    answer = well_behaved(format)
    seen = chunks_of(answer)[:-3]
    error = sse(ERRORS[format], named="type" in ERRORS[format])
    upstream.tape["error"] = Answer((*seen, *error), 200, answer.headers)
    client.post(**asking(format, "error"))
    at_least(ledger.ends("error in mid stream"), seen)


@FORMATS
def test_usage_missing(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    if format == "anthropic-messages":
        pytest.skip("its first event reports the prompt: see usage partial")
    answer = well_behaved(format)
    seen = [chunk.replace(b'"usage"', b'"said"').replace(b'"usageMetadata"', b'"said"') for chunk in chunks_of(answer)]
    upstream.tape["silent"] = Answer(tuple(seen), 200, answer.headers)
    client.post(**asking(format, "silent"))
    at_least(ledger.ends("usage missing"), seen)


def test_usage_partial(client: httpx.Client, upstream: Upstream, ledger: Ledger) -> None:
    answer = well_behaved("anthropic-messages")
    seen = [chunk for chunk in chunks_of(answer) if b'"message_delta"' not in chunk]
    upstream.tape["partial"] = Answer(tuple(seen), 200, answer.headers)
    client.post(**asking("anthropic-messages", "partial"))
    entry = ledger.ends("usage partial")
    at_least(entry, seen)
    assert entry is not None and entry.input == PROMPT, "what was reported holds"


@FORMATS
def test_client_gone_in_mid_stream(
    client: httpx.Client, upstream: Upstream, ledger: Ledger, streams: str, format: str
) -> None:
    let_go = threading.Event()
    answer = well_behaved(format)
    chunks = chunks_of(answer)
    upstream.tape["left"] = Answer((*chunks[:-3], Wait(let_go), *chunks[-3:]), 200, answer.headers)
    with client.stream("POST", **asking(format, "left")) as response:
        next(response.iter_raw())
    if streams == "drain":
        let_go.set()
        return billed(ledger.ends("client gone, read on to the end"))
    at_least(ledger.ends("client gone, counted"), chunks[:1])
    let_go.set()


def plainly(format: str) -> dict[str, Any]:
    """A request for an answer in one piece of at most WORST tokens."""
    body = {k: v for k, v in ASK[format][1].items() if k != "stream"}
    return {"url": PLAIN[format], "json": {**body, **LIMITS.get(format, {"max_tokens": WORST})}}


@PLAINLY
def test_client_gone_before_the_answer(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    let_go = threading.Event()
    whole = well_behaved(format, stream=False) if format != "gemini-generate" else _gemini_whole()
    upstream.tape["early"] = Answer((Wait(let_go), *whole.steps), 200, whole.headers)
    with pytest.raises(httpx.ReadTimeout):
        client.post(**plainly(format), headers={TAPE_HEADER: "early"}, timeout=0.3)
    let_go.set()
    billed(ledger.ends("client gone before the answer"))


def _gemini_whole() -> Answer:
    usage = {"promptTokenCount": PROMPT, "candidatesTokenCount": ANSWER}
    return Answer.json({"candidates": [{"content": {"parts": [{"text": "7 t"}]}}], "usageMetadata": usage})


@PLAINLY
def test_a_plain_answer_broken_off(client: httpx.Client, upstream: Upstream, ledger: Ledger, format: str) -> None:
    headers = {"content-type": "application/json", "content-length": "5000"}
    upstream.tape["half"] = Answer((b'{"id": "half', Break()), 200, headers)
    assert client.post(**plainly(format), headers={TAPE_HEADER: "half"}).status_code in (502, 504)
    entry = ledger.ends("plain answer broken off")
    assert entry is not None and entry.output == WORST and "written to its end" in entry.ending


def test_every_way_is_tried() -> None:
    tried = set(re.findall(r'ledger\.ends\("([^"]+)"\)', Path(__file__).read_text("utf-8")))
    assert set(WAYS) - tried == ELSEWHERE
