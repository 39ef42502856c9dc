from __future__ import annotations

import json
import lzma
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.guess import RULES, guess

CORPUS = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")
HELLO = [{"role": "user", "content": "Hello"}]

BODIES: list[tuple[str | None, dict[str, Any]]] = [
    ("openai-chat", {"model": "gpt-4o", "messages": HELLO}),
    ("openai-chat", {"model": "claude-haiku-4-5", "messages": [{"role": "system", "content": "x"}, *HELLO]}),
    ("openai-chat", {"model": "anthropic/claude-haiku-4-5", "messages": HELLO}),
    ("openai-chat", {"messages": HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}),
    ("anthropic-messages", {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": HELLO}),
    ("anthropic-messages", {"messages": HELLO, "system": "x"}),
    ("anthropic-messages", {"messages": HELLO, "tools": [{"name": "f", "input_schema": {}}]}),
    ("openai-responses", {"model": "gpt-4o", "input": "Hello"}),
    ("openai-responses", {"model": "gpt-4o", "input": HELLO}),
    ("openai-embeddings", {"model": "text-embedding-3-small", "input": "Hello"}),
    ("openai-embeddings", {"model": "e5", "input": ["Hello"]}),
    ("openai-embeddings", {"model": "e5", "input": [1, 2, 3]}),
    ("openai-completions", {"model": "davinci-002", "prompt": "Hello"}),
    ("gemini-generate", {"contents": [{"parts": [{"text": "Hello"}]}]}),
    ("bedrock-converse", {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}),
    (None, {}),
    (None, {"model": "gpt-4o"}),
]


@pytest.mark.parametrize(
    ("dialect", "body"), BODIES, ids=lambda value: json.dumps(value) if isinstance(value, dict) else value
)
def test_guess(dialect: str | None, body: dict[str, Any]) -> None:
    assert guess(body) == dialect


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = ("messages", "input", "contents", "tools", "model", "prompt", "system", "content", "role")


@given(st.dictionaries(st.sampled_from(fields), values))
def test_nothing_upsets_it(body: dict[str, Any]) -> None:
    assert guess(body) in {None, *(dialect for dialect, _ in RULES)}


def test_every_recorded_request_is_recognised() -> None:
    path = CORPUS / "traffic.jsonl.xz"
    if not path.exists():
        pytest.skip("the corpus of recorded traffic is not here")
    seen = 0
    with lzma.open(path, "rt") as lines:
        for row in map(json.loads, lines):
            if row["dialect"] in DIALECTS and isinstance(row["request"], dict):
                seen += 1
                assert guess(row["request"]) == row["dialect"], row["id"]
    assert seen > 1000
