"""Transports as scripts use them: a store by its URL, an SDK that retries, litellm, a program that just ends."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from adapters.commands import kept_store
from adapters.crossings import CHAT, CHAT_PATH, STREAM, Yard
from gates import journaled
from gateway.provider import ANSWER, PROMPT, TEXT
from gateway.upstream import Answer, Seen
from weighbridge.adapters.httpx import AsyncTransport, Transport
from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import Entry, OpenHolds
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store

PACKAGE = Path(__file__).parents[2] / "plugin"
POLICIES = {"policies": [{"name": "mine", "match": {"team": "mine"}, "limit": {"requests": 100}, "window": "month"}]}


@pytest.fixture
def ledger(unset: None, store: Store) -> Store:
    """A store that others reach by its URL, with a policy."""
    store.run(Put("policies", shelf.write(*parse.policies(POLICIES))))
    return store


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store that no other test writes to."""
    with kept_store() as found:
        yield found


@pytest.fixture
def journal(ledger: Store) -> Any:
    """What was written to the ledger since."""
    last = journaled(ledger)[-1:]
    known = last[0].cursor if last else ""

    def news() -> list[Entry]:
        assert not ledger.run(OpenHolds())
        return journaled(ledger, known)

    return news


@pytest.mark.parametrize("way", ["store", "environment", "config"])
def test_where_the_store_is(
    at: Yard, url: str, journal: Any, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"store": url} if way == "store" else {}
    if way == "environment":
        monkeypatch.setenv("WEIGHBRIDGE_STORE", url)
    if way == "config":
        (tmp_path / "weighbridge.yaml").write_text(
            f"store: '{url}'\nproviders: {{here: {{base_url: '{at.url}', dialects: [openai-chat]}}}}\n"
        )
        given["config"] = str(tmp_path / "weighbridge.yaml")
    who = {"org": "o", "team": "mine", "user": "u", "key": "k", "tags": {"run": "7"}}
    with httpx.Client(base_url=at.url, transport=Transport(**who, **given)) as client:
        answer = client.post(CHAT_PATH, json=CHAT)
    assert answer.headers["x-weighbridge-remaining"].startswith("mine;requests=")
    (entry,) = journal()
    assert (entry.org, entry.team, entry.user, entry.key, dict(entry.tags)) == ("o", "mine", "u", "k", {"run": "7"})
    assert entry.provider == ("here" if way == "config" else "127.0.0.1")


async def test_where_the_store_is_async(at: Yard, url: str, journal: Any) -> None:
    async with httpx.AsyncClient(base_url=at.url, transport=AsyncTransport(store=url, team="mine")) as client:
        assert (await client.post(CHAT_PATH, json=STREAM)).status_code == 200
    assert [entry.ending for entry in journal()] == ["reported"]


def test_a_store_that_is_none(unset: None) -> None:
    with pytest.raises(ConfigError, match="must begin with"):
        Transport(store="mysql://here", team="mine")


def test_a_store_that_is_not_there(at: Yard, tmp_path: Path) -> None:
    transport = Transport(store=f"unix://{tmp_path}/none.sock", team="mine")
    with httpx.Client(base_url=at.url, transport=transport) as client:
        answer = client.post(CHAT_PATH, json=CHAT)
    assert (answer.status_code, answer.json()["error"]["weighbridge"]["reason"]) == (503, "store_down")
    assert not at.upstream.seen


def test_each_try_of_an_sdk_is_weighed_and_only_the_last_is_charged(at: Yard) -> None:
    busy = [Answer.json({"error": {}}, 500, {"retry-after-ms": "1"})] * 2
    whole = at.upstream.otherwise

    async def otherwise(seen: Seen) -> Answer:
        return busy.pop() if busy else await whole(seen)

    at.upstream.otherwise = otherwise
    transport = Transport(guard=at.guard, team="free")
    http = httpx.Client(transport=transport)
    with openai.OpenAI(base_url=f"{at.url}/v1", api_key="sk", http_client=http, max_retries=2) as client:
        assert client.chat.completions.create(**CHAT).choices[0].message.content == TEXT
    names = [type(event).__name__ for event in at.events]
    assert names == ["Admitted", "Closed"] * 3 and len(at.upstream.seen) == 3
    (entry,) = at.entries()
    assert (entry.input, entry.output) == (PROMPT, ANSWER)


@pytest.fixture
def litellm(at: Yard, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The litellm SDK with its sessions over transports."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import litellm as found
    with httpx.Client(transport=Transport(guard=at.guard, team="free")) as client:
        monkeypatch.setattr(found, "client_session", client)
        asynchronous = httpx.AsyncClient(transport=AsyncTransport(guard=at.async_guard, team="free"))
        monkeypatch.setattr(found, "aclient_session", asynchronous)
        found.in_memory_llm_clients_cache.flush_cache()
        yield found
        found.in_memory_llm_clients_cache.flush_cache()


@pytest.mark.filterwarnings("ignore")
async def test_litellm_in_process(at: Yard, litellm: Any) -> None:
    asked: dict[str, Any] = {**CHAT, "model": "openai/gpt-4o-mini", "api_base": f"{at.url}/v1", "api_key": "sk"}
    answer = litellm.completion(**asked)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in litellm.completion(**asked, stream=True))
    later = await litellm.acompletion(**asked)
    chunks = [chunk async for chunk in await litellm.acompletion(**asked, stream=True)]
    vectors = litellm.embedding(
        model="openai/text-embedding-3-small", input=["a"], api_base=f"{at.url}/v1", api_key="sk",
        encoding_format="float",
    )  # fmt: skip
    assert answer.choices[0].message.content == later.choices[0].message.content == streamed == TEXT
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert vectors.data[0]["embedding"] == [0.25, -0.5]
    await litellm.aclient_session.aclose()
    at.balanced(prompt_only=1)


@pytest.mark.filterwarnings("ignore")
def test_litellm_is_refused_in_its_own_exception(at: Yard, litellm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with httpx.Client(transport=Transport(guard=at.guard, team="broke")) as broke:
        monkeypatch.setattr(litellm, "client_session", broke)
        with pytest.raises(litellm.exceptions.RateLimitError, match="all-broke"):
            litellm.completion(**{**CHAT, "model": "openai/gpt-4o-mini"}, api_base=f"{at.url}/v1", api_key="sk")
    assert not at.upstream.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"])
def test_litellm_s_other_providers(at: Yard, litellm: Any, model: str) -> None:
    from litellm.llms.custom_httpx.http_handler import HTTPHandler

    asked = {**CHAT, "model": model, "max_tokens": 64, "api_base": at.url, "api_key": "sk"}
    handler = HTTPHandler(client=litellm.client_session)
    assert litellm.completion(**asked, client=handler).choices[0].message.content == TEXT
    chunks = litellm.completion(**asked, client=handler, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    # litellm stops before the last event and closes nothing: such a stream is drained when the client closes.
    litellm.client_session.close()
    at.balanced()


SCRIPT = """
import httpx, sys
from weighbridge.adapters.httpx import Transport
client = httpx.Client(base_url=sys.argv[1], transport=Transport(store=sys.argv[2], team="mine"))
body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
answer = client.send(client.build_request("POST", "/v1/chat/completions", json=body), stream=True)
%s
"""
ENDS = {
    "closed": ("answer.close()", "reported"),
    "read to its end": ("answer.read()", "reported"),
    "left lying about": ("", "cut off: the answer was left unread"),
    "crashed": ("next(answer.iter_raw()); 1 / 0", "cut off: the answer was left unread"),
}


@pytest.mark.parametrize(("end", "ending"), ENDS.values(), ids=ENDS)
def test_a_program_that_just_ends(at: Yard, url: str, journal: Any, end: str, ending: str) -> None:
    command = [sys.executable, "-c", SCRIPT % end, at.url, url]
    environ = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert (done.returncode == 0) == ("1 / 0" not in end), done.stderr
    assert [entry.ending for entry in journal()] == [ending]


ASYNC_SCRIPT = """
import asyncio, httpx, sys
from weighbridge.adapters.httpx import AsyncTransport
async def main():
    client = httpx.AsyncClient(base_url=sys.argv[1], transport=AsyncTransport(store=sys.argv[2], team="mine"))
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    answer = await client.send(client.build_request("POST", "/v1/chat/completions", json=body), stream=True)
    %s
    return answer
answer = asyncio.run(main())
"""
ASYNC_ENDS = {
    "read to its end": ("await answer.aread()", "reported"),
    "closed": ("await answer.aclose()", "reported"),
    "left lying about": ("", "cut off: the answer was left unread"),
}


@pytest.mark.parametrize(("end", "ending"), ASYNC_ENDS.values(), ids=ASYNC_ENDS)
def test_a_program_whose_loop_just_ends(at: Yard, url: str, journal: Any, end: str, ending: str) -> None:
    command = [sys.executable, "-c", ASYNC_SCRIPT % end, at.url, url]
    environ = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [entry.ending for entry in journal()] == [ending], done.stderr
