"""A giant prompt is refused for what its first megabytes hold, in the words it would be refused in anyway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from weighbridge import scale as module
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import Refused
from weighbridge.core.model import Principal, RawCall
from weighbridge.core.policy import parse, shelf
from weighbridge.core.policy.model import Rules
from weighbridge.core.shelves import Put
from weighbridge.desk import Desk
from weighbridge.guard import Guard
from weighbridge.ledger.memory import MemoryStore
from weighbridge.scale import Scale

ROW = {"max_input_tokens": 50_000, "max_output_tokens": 9, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
MEGABYTES = 5_000_000


class Words:
    """A tokenizer that counts words, and how many characters it was shown."""

    name = "words"

    def __init__(self) -> None:
        self.shown = 0

    def count(self, text: str) -> int:
        self.shown += len(text)
        return len(text.split())


class Gate:
    def __init__(self) -> None:
        self.words = Words()
        self.scale = Scale(Catalogue({"gpt-4o": ROW}), lambda name: self.words, lambda call: "openai")
        self.now = 1_790_000_000_000
        self.store = MemoryStore(lambda: self.now)
        self.guard = Guard(Desk(self.scale, lambda: self.now), self.store)

    def policies(self, *documents: dict[str, Any]) -> None:
        self.store.run(Put("policies", shelf.write(*parse.policies({"policies": documents}))))
        self.now += 1000


def chat(*texts: str) -> RawCall:
    messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]
    body = {"messages": messages, "model": "gpt-4o", "max_tokens": 5}
    return RawCall("openai-chat", json.dumps(body).encode(), Principal(team="research"))


@pytest.fixture
def gate() -> Gate:
    return Gate()


GIANT = ('weighed and "found" wanting\n' * (MEGABYTES // 27))[:MEGABYTES]


def test_the_refusal_is_the_same_and_most_of_it_is_not_read(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    parse_call = gate.scale._parse
    watched = lambda raw: read.append(len(raw.body)) or parse_call(raw)  # noqa: E731
    monkeypatch.setattr(Scale, "_parse", lambda self, raw: watched(raw))
    with pytest.raises(Refused) as early:
        gate.guard.open(chat(GIANT))
    assert max(read) < MEGABYTES / 2
    monkeypatch.setattr(module, "SKETCHED_BYTES", 10 * MEGABYTES)
    with pytest.raises(Refused) as late:
        gate.guard.open(chat(GIANT))
    assert (early.value.message, early.value.counted) == (late.value.message, late.value.counted)


def test_so_is_that_of_a_giant_list(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = chat(*["weighed and found wanting "[: i % 17 + 9] * 40 for i in range(12_000)])
    read: list[int] = []
    parse_call = gate.scale._parse
    watched = lambda raw: read.append(len(raw.body)) or parse_call(raw)  # noqa: E731
    monkeypatch.setattr(Scale, "_parse", lambda self, raw: watched(raw))
    with pytest.raises(Refused) as early:
        gate.guard.open(raw)
    assert max(read) < len(raw.body) / 2
    assert early.value.reason == "context_length" and (early.value.counted or 0) > 50_000


def test_a_giant_list_that_fits_is_counted_to_its_end(gate: Gate) -> None:
    estimate = gate.guard.check(chat(*["x" * 600] * 9_000)).weighed.estimate
    assert estimate.whole and estimate.parts.messages == 9_000


def test_what_is_read_whole(gate: Gate) -> None:
    fits = "x" * MEGABYTES
    assert gate.guard.check(chat(fits)).weighed.estimate.whole, "one word of five megabytes"
    last = chat(fits, "yes", "weighed " * 60_000)
    with pytest.raises(Refused, match="tokens"):
        gate.guard.check(last)
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * MEGABYTES}}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": [image]}], "max_tokens": 5}
    seen = gate.guard.check(RawCall("openai-chat", json.dumps(body).encode(), Principal(team="research")))
    assert seen.weighed.estimate.whole and seen.weighed.estimate.parts.media > 0


def test_a_count_is_of_all_of_it(gate: Gate) -> None:
    raw = chat(GIANT)
    whole = gate.scale.count(RawCall(raw.dialect, raw.body, counts=True), Rules()).estimate
    assert whole.whole and whole.tokens > 500_000


def test_a_trimming_policy_trims_it(gate: Gate) -> None:
    gate.policies({"name": "trims", "context": {"max_input_tokens": 100, "on_exceed": "trim"}})
    ticket = gate.guard.open(chat(GIANT, "found wanting", "and now?"))
    assert (ticket.decision, ticket.weighed.detour.drop_turns) == ("trim", 1)


def test_a_broken_giant_is_malformed(gate: Gate) -> None:
    raw = chat(GIANT)
    with pytest.raises(Refused) as refused:
        gate.guard.open(RawCall(raw.dialect, raw.body[:-1], raw.principal))
    assert refused.value.reason == "malformed"
