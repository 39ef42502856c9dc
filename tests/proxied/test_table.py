"""Every route, however its call fared: the ledger says what the provider bills.  The table is in LITELLM.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import httpx
import pytest
from packaging.version import Version

from gateway.sdks import QUESTION
from gateway.upstream import until
from proxied.conftest import Rig

SAID: Any = [{"role": "user", "content": QUESTION}]


@dataclass(frozen=True)
class Way:
    """How a call is asked for: a group of `running.PLAIN`, by one of LiteLLM's routes."""

    path: str
    group: str
    body: dict[str, Any] = field(default_factory=dict)
    streams: bool = True
    again: bool = True
    """LiteLLM tries a stream again, or elsewhere."""

    def ask(self, mood: str, stream: bool) -> tuple[str, dict[str, Any]]:
        """Path and body, for a group in that mood."""
        model = f"{mood}-{self.group}"
        if "{model}" in self.path:
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            return self.path.format(model=model, verb=verb), self.body
        return self.path, {**self.body, "model": model, **({"stream": True} if stream else {})}


ASKED: Any = {"max_tokens": 64, "messages": SAID}
WAYS = {
    "chat": Way("/v1/chat/completions", "fast", {"messages": SAID}),
    "chat answered by Anthropic": Way("/v1/chat/completions", "claude", {"messages": SAID}),
    "responses": Way("/v1/responses", "fast", {"input": QUESTION}),
    "completions": Way("/v1/completions", "words", {"prompt": QUESTION, "max_tokens": 20}, again=False),
    "embeddings": Way("/v1/embeddings", "vectors", {"input": QUESTION}, streams=False),
    "messages": Way("/v1/messages", "claude", ASKED),
    "messages answered by OpenAI": Way("/v1/messages", "fast", ASKED),
    "contents": Way(
        "/v1beta/models/{model}:{verb}", "gem", {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]}
    ),
}
CELLS = [
    pytest.param(way, stream, id=f"{name}, {'streamed' if stream else 'whole'}")
    for name, way in WAYS.items()
    for stream in ((False, True) if way.streams else (False,))
]
STREAMS = [pytest.param(way, id=name) for name, way in WAYS.items() if way.streams]
FORMS = pytest.mark.parametrize("form", ["rig", "alone"], ids=["wrapped", "alone"])


@FORMS
@pytest.mark.parametrize("mood", ["flaky", "broken"], ids=["retried", "fallen back"])
@pytest.mark.parametrize(("way", "stream"), CELLS)
def test_a_second_attempt_is_the_same_call(
    way: Way, stream: bool, mood: str, form: str, request: pytest.FixtureRequest
) -> None:
    if stream and (way.group, mood) == ("gem", "broken") and Version(version("litellm")) < Version("1.108"):
        pytest.skip("this LiteLLM asks OpenAI for no usage where the client speaks Gemini's")
    rig: Rig = request.getfixturevalue(form)
    path, body = way.ask(mood, stream)
    with rig.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200 or (stream and not way.again), answer.text
    assert len(rig.settled()) == (answer.status_code == 200) and rig.bill.failures
    assert '"usage":{' not in answer.text or not (stream and "chat" in path), "nobody asked for it"


@pytest.mark.parametrize("way", STREAMS)
def test_the_client_leaves(way: Way, rig: Rig) -> None:
    path, body = way.ask("slow", True)
    with rig.client() as client, client.stream("POST", path, json=body) as answer:
        assert answer.status_code == 200
        next(answer.iter_raw())
    until(lambda: rig.upstream.sent_whole, "the answer to be read to its end all the same")
    assert len(rig.settled()) == 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_client_does_not_wait(way: Way, rig: Rig) -> None:
    path, body = way.ask("slow", False)
    with rig.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(path, json=body, timeout=0.02)
    until(lambda: rig.bill.lines, "the request to arrive")
    assert len(rig.settled()) == 1
