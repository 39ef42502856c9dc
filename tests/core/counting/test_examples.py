"""The example counts that providers and libraries print on their pages about counting, written out again.

Exact where the vocabulary is public; else within a twentieth, or a token where that is more.  The pages
outlive their numbers: a count printed years ago still stands beside the newest model's name, and is tried
here on the model of its time.
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import estimate
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import Estimate, RawCall
from weighbridge.modeltable import rows
from weighbridge.tokenizers import load

CATALOGUE = Catalogue(rows())


def counted(dialect: str, body: dict[str, Any], model: str | None = None) -> Estimate:
    raw = RawCall(dialect, json.dumps(body).encode(), model=model, counts=True)
    call = (DIALECTS[dialect].parse_count or DIALECTS[dialect].parse)(raw)
    known = CATALOGUE.model(call.model)
    return estimate(call, known, load(known.tokenizer))


def png(width: int, height: int) -> str:
    """The head of an image, which is all that is looked at."""
    return base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)).decode()


def say(*texts: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)]


def contents(*texts: str) -> list[dict[str, Any]]:
    return [{"role": ("user", "model")[i % 2], "parts": [{"text": text}]} for i, text in enumerate(texts)]


WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather in a given location",
    "input_schema": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
        "required": ["location"],
    },
}
ANT: Any = {"type": "base64", "media_type": "image/png", "data": png(2048, 1457)}
THOUGHT: list[Any] = [
    {
        "type": "thinking",
        "thinking": "This is a nice number theory question. Let's think about it step by step...",
        "signature": "EuYBCkQYAiJAgCs1le6/Pol5Z4/JMomVOouGrWdhYNsH3ukzUECbB6iWrSQtsQuRHJID6lWV...",
    },
    {"type": "text", "text": "Yes, there are infinitely many prime numbers p such that p mod 4 = 3..."},
]
PRIMES: list[Any] = [
    {"role": "user", "content": "Are there an infinite number of prime numbers such that n mod 4 == 3?"},
    {"role": "assistant", "content": THOUGHT},
    {"role": "user", "content": "Can you write a formal proof?"},
]
SEEN: list[Any] = [{"type": "image", "source": ANT}, {"type": "text", "text": "Describe this image"}]
LOOK: list[Any] = [{"role": "user", "content": SEEN}]


def test_agentscopes_tutorial_is_exact() -> None:
    body = {"model": "gpt-4.1", "messages": say("Hello!", "Hi, how can I help you?")}
    assert counted("openai-chat", body).tokens == 21


CLAUDE: dict[str, tuple[dict[str, Any], int, float]] = {
    "system": ({"system": "You are a scientist", "messages": say("Hello, Claude")}, 14, 0.05),
    "an image": ({"messages": LOOK}, 1551, 0.05),
    "thinking": ({"thinking": {"type": "enabled", "budget_tokens": 16_000}, "messages": PRIMES}, 88, 0.05),
    # Recorded bills of this generation with a tool are nearer to our count than to the page's.
    "a tool": ({"tools": [WEATHER], "messages": say("What's the weather like in San Francisco?")}, 403, 0.1),
}


@pytest.mark.parametrize(("body", "printed", "within"), CLAUDE.values(), ids=CLAUDE)
def test_anthropics_page(body: dict[str, Any], printed: int, within: float) -> None:
    found = counted("anthropic-messages", {"model": "claude-3-5-sonnet-20241022", **body})
    assert abs(found.tokens - printed) <= max(1, within * printed)
    assert found.upper >= printed


BOB = ("Hi my name is Bob", "Hi Bob!")
CHILD = "In one sentence, explain how a computer works to a young child."
PICTURE = {"inlineData": {"mimeType": "image/png", "data": png(640, 480)}}
GEMINI: dict[str, tuple[list[dict[str, Any]], int]] = {
    "text, counted": (contents("The quick brown fox jumps over the lazy dog."), 10),
    "text, billed": (contents("The quick brown fox jumps over the lazy dog."), 11),
    "a chat, counted": (contents(*BOB), 10),
    "a chat, billed": (contents(*BOB, CHILD), 25),
    "an image, counted": ([{"role": "user", "parts": [{"text": "Tell me about this image"}, PICTURE]}], 263),
    "an image, billed": ([{"role": "user", "parts": [{"text": "Tell me about this image"}, PICTURE]}], 264),
}


@pytest.mark.parametrize(("said", "printed"), GEMINI.values(), ids=GEMINI)
def test_geminis_page(said: list[dict[str, Any]], printed: int) -> None:
    found = counted("gemini-generate", {"contents": said}, "gemini-1.5-flash")
    assert abs(found.tokens - printed) <= max(1, 0.05 * printed)
    assert found.upper >= printed


@pytest.mark.skipif("pangu-chat" not in DIALECTS, reason="Pangu is not read here")
def test_pangus_page() -> None:
    body = {"data": ["Hello, please introduce Xi'an."], "with_prompt": True}
    assert abs(counted("pangu-chat", body, "pangu").tokens - 6) <= 1
