"""One call of an SDK, several sends: tries again, redirections, HTTP/2, a body that never went out whole."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import openai
import pytest

from adapters.crossings import CHAT, CHAT_PATH, LIBRARIES, STREAM, Over, Yard
from adapters.sdks_over import openai_over
from gateway.provider import ANSWER, CHAT_USAGE
from gateway.upstream import PATIENCE_SECONDS, Answer, Seen, until
from weighbridge.core.endings import REASONS
from weighbridge.core.ledger import OpenHolds

CAPPED: Any = {**CHAT, "max_tokens": 64}


def first(at: Yard, answer: Answer, waits: threading.Event | None = None) -> None:
    """The upstream answers this to the first request, and as always to the others."""
    whole, firsts = at.upstream.otherwise, [answer]

    async def otherwise(seen: Seen) -> Answer:
        if not firsts:
            return await whole(seen)
        found = firsts.pop()
        if waits is not None:
            await asyncio.to_thread(waits.wait, PATIENCE_SECONDS)
        return found

    at.upstream.otherwise = otherwise


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_try_that_failed_holds_nothing_when_the_next_one_comes(at: Yard, status: int) -> None:
    first(at, Answer.json({"error": {"message": "again"}}, status, {"retry-after-ms": "1"}))
    with openai_over(at, "single", max_retries=1) as client:
        assert client.chat.completions.create(**CHAT).usage
    assert len(at.upstream.seen) == 2
    assert [entry.ending for entry in at.entries()] == ["reported"]


def test_a_try_that_was_given_up_may_have_been_billed(at: Yard) -> None:
    let_go = threading.Event()
    first(at, Answer(), let_go)
    with openai_over(at, max_retries=1, timeout=0.5) as client:
        assert client.chat.completions.create(**CAPPED).usage
    let_go.set()
    given_up, answered = at.entries()
    assert given_up.ending.startswith("cut off: no answer from the provider (ReadTimeout)") and given_up.output == 64
    assert (answered.ending, answered.output) == ("reported", ANSWER)
    assert not at.store.run(OpenHolds())


def test_no_connection_costs_nothing_however_often_it_is_tried(at: Yard) -> None:
    with openai_over(at, max_retries=1) as client, pytest.raises(openai.APIConnectionError):
        client.with_options(base_url="http://127.0.0.1:1/v1").chat.completions.create(**CHAT)
    assert [type(event).__name__ for event in at.events] == ["Admitted", "Closed"] * 2
    assert not at.entries() and not at.store.run(OpenHolds())


def test_a_redirection_is_weighed_again_where_it_leads(over: Over, at: Yard) -> None:
    first(at, Answer.json({}, 307, {"location": f"{at.url}{CHAT_PATH}?here=1"}))
    with over("single") as client:
        assert client.post(CHAT_PATH, json=CHAT, follow_redirects=True).status_code == 200
    assert [seen.query for seen in at.upstream.seen] == ["", "here=1"]
    assert [entry.ending for entry in at.entries()] == ["reported"]


def test_a_body_that_never_went_out_whole_costs_nothing(over: Over, at: Yard) -> None:
    with closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        large = {**CAPPED, "metadata": {"ballast": "x" * 8_000_000}}
        with over() as client, pytest.raises(client.library.WriteTimeout):
            client.post(f"http://127.0.0.1:{deaf.getsockname()[1]}{CHAT_PATH}", json=large, timeout=0.3)
    assert not at.entries() and not at.store.run(OpenHolds())


@contextmanager
def over_http2(app: Any) -> Iterator[str]:
    """Serves an app by HTTP/2 from the first byte on; gives its base URL."""
    hypercorn = pytest.importorskip("hypercorn.asyncio")
    from hypercorn.config import Config

    config, stop = Config(), threading.Event()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config.bind = [f"fd://{listener.fileno()}"]
    serving = hypercorn.serve(app, config, shutdown_trigger=lambda: asyncio.to_thread(stop.wait))
    thread = threading.Thread(target=asyncio.run, args=(serving,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        thread.join(PATIENCE_SECONDS)
        listener.detach()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LIBRARIES)
def test_http2(at: Yard, name: str) -> None:
    pytest.importorskip("h2")
    library, transports = LIBRARIES[name]
    with over_http2(at.upstream) as url:
        wire = library.HTTPTransport(http1=False, http2=True)
        with library.Client(base_url=url, transport=transports.Transport(wire, guard=at.guard, team="free")) as client:
            until(lambda: _answers(client), "the server")
            assert client.post(CHAT_PATH, json=CHAT).http_version == "HTTP/2"
            pieces = json.dumps(CHAT).encode()
            assert client.post(CHAT_PATH, content=iter([pieces[:9], pieces[9:]])).status_code == 200
            with client.stream("POST", CHAT_PATH, json=STREAM) as left, client.stream("POST", CHAT_PATH, json=STREAM):
                next(left.iter_raw())
    at.balanced()


def _answers(client: Any) -> bool:
    try:
        return bool(client.get("/v1/models").status_code)
    except client._transport.library.HTTPError:
        return False


def test_a_proxy_of_the_transport_it_wraps_is_gone_through(at: Yard) -> None:
    """The upstream takes the place of the proxy: it is asked with the whole address."""
    for library, transports in LIBRARIES.values():
        wire = library.HTTPTransport(proxy=at.url)
        with library.Client(transport=transports.Transport(wire, guard=at.guard, team="free")) as client:
            assert client.post(f"http://provider.invalid{CHAT_PATH}", json=CHAT).headers["x-weighbridge-decision"]
    assert [seen.headers["host"] for seen in at.upstream.seen] == ["provider.invalid"] * 2


def test_a_response_in_the_background_is_charged_as_held_when_it_is_asked_for(at: Yard) -> None:
    """What it will have used is told to whoever asks later, which is a reading like any other."""
    queued = {"id": "resp_1", "object": "response", "status": "queued", "usage": None, "output": [], "background": True}

    async def otherwise(seen: Seen) -> Answer:
        return Answer.json({**queued, "status": "completed"} if seen.method == "GET" else queued)

    at.upstream.otherwise = otherwise
    with openai_over(at) as client:
        asked = client.responses.create(model="gpt-4o-mini", input="hi", background=True, max_output_tokens=100)
        assert client.responses.retrieve(asked.id).status == "completed"
    (entry,) = at.entries()
    assert (entry.ending, entry.output) == (f"cut off: no usage reported{REASONS['nothing']}", 100)


def test_azure_s_client_puts_the_model_into_the_path(at: Yard) -> None:
    first(at, Answer.json({"choices": [], "usage": CHAT_USAGE}))
    http = LIBRARIES["httpx"][0].Client(transport=LIBRARIES["httpx"][1].Transport(guard=at.guard, team="free"))
    azure = {"azure_endpoint": at.url, "api_key": "sk-mine", "api_version": "2024-10-21"}
    with openai.AzureOpenAI(http_client=http, **azure) as client:  # type: ignore[call-overload]
        client.chat.completions.create(**CHAT)
    assert at.upstream.seen[0].path == "/openai/deployments/gpt-4o-mini/chat/completions"
    at.balanced()


def test_a_file_goes_up_as_it_is_and_its_batch_is_refused(at: Yard) -> None:
    first(at, Answer.json({"id": "file-1", "object": "file"}))
    with openai_over(at) as client:
        assert client.files.create(file=("a.jsonl", b"x" * 3_000_000), purpose="batch").id == "file-1"
        with pytest.raises(openai.PermissionDeniedError, match="cannot be metered"):
            client.batches.create(input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
    assert len(at.upstream.seen) == 1 and len(at.upstream.seen[0].body) > 3_000_000
    assert not at.entries()
