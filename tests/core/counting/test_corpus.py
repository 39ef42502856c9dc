"""Estimates against recorded bills: floors that a change of rules may not fall below."""

from __future__ import annotations

import json
import lzma
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import estimate
from weighbridge.core.dialects import anthropic_messages, gemini_generate, openai_chat, openai_responses
from weighbridge.core.model import Estimate, RawCall
from weighbridge.documents import reader
from weighbridge.modeltable import rows
from weighbridge.tokenizers import load

CORPUS = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")
PROVIDERS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "aiplatform.googleapis.com": "vertex_ai",
}
DIALECTS = {
    d.name: d
    for d in (openai_chat.DIALECT, openai_responses.DIALECT, anthropic_messages.DIALECT, gemini_generate.DIALECT)
}
UNCOUNTABLE = {"file_reference", "server_tools", "context_management"}
CATALOGUE = Catalogue(rows())


def weighed(row: dict[str, Any], provider: str) -> Estimate:
    path_model = row["model"] if row["dialect"] == "gemini-generate" else None
    raw = RawCall(row["dialect"], json.dumps(row["request"]).encode(), model=path_model, stream=False)
    call = DIALECTS[row["dialect"]].parse(raw)
    model = CATALOGUE.model(row["model"], provider)
    return estimate(call, model, load(model.tokenizer), reader=reader(), host=provider)


def countable() -> Iterator[dict[str, Any]]:
    with lzma.open(CORPUS / "traffic.jsonl.xz", "rt") as lines:
        for row in map(json.loads, lines):
            known = row["dialect"] in DIALECTS and row["host"] in PROVIDERS
            if known and row["input_tokens"] and not row.get("flags") and not UNCOUNTABLE & set(row["features"]):
                yield row


def kind(row: dict[str, Any]) -> str:
    order = ("document_pdf", "document_other", "audio", "video", "image", "encrypted_reasoning", "thinking")
    found = [word for word in (*order, "structured_output", "tools") if word in row["features"]]
    return found[0] if found else "text"


@pytest.fixture(scope="module")
def scored() -> dict[tuple[str, str], list[tuple[Estimate, int]]]:
    if not (CORPUS / "traffic.jsonl.xz").is_file():
        pytest.skip("the corpus is not here (set WEIGHBRIDGE_CORPUS)")
    found = defaultdict(list)
    for row in countable():
        result = weighed(row, PROVIDERS[row["host"]])
        for name in (kind(row), "all"):
            found[row["dialect"], name].append((result, row["input_tokens"]))
    return found


@pytest.mark.parametrize(
    ("dialect", "name", "exact"),
    [
        ("openai-chat", "text", 0.99),
        ("openai-chat", "tools", 0.96),
        ("openai-chat", "structured_output", 0.98),
        ("openai-chat", "image", 0.9),
        ("openai-responses", "text", 0.99),
        ("openai-responses", "tools", 0.9),
    ],
)
def test_exact(scored: dict[Any, Any], dialect: str, name: str, exact: float) -> None:
    results = scored[dialect, name]
    assert sum(e.tokens == billed for e, billed in results) >= exact * len(results)


@pytest.mark.parametrize(
    ("dialect", "name", "most"),
    [
        ("openai-chat", "document_pdf", 0.01),
        ("openai-responses", "document_pdf", 0.01),
        ("anthropic-messages", "text", 0.01),
        ("anthropic-messages", "tools", 0.01),
        ("anthropic-messages", "image", 0.01),
        ("anthropic-messages", "document_pdf", 0.01),
        ("anthropic-messages", "thinking", 0.015),
        ("gemini-generate", "text", 0.01),
        ("gemini-generate", "tools", 0.04),
        ("gemini-generate", "image", 0.005),
        ("gemini-generate", "document_pdf", 0.01),
        ("gemini-generate", "audio", 0.03),
        ("gemini-generate", "encrypted_reasoning", 0.02),
    ],
)
def test_median_error(scored: dict[Any, Any], dialect: str, name: str, most: float) -> None:
    assert median(abs(e.tokens - billed) / billed for e, billed in scored[dialect, name]) <= most


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_the_upper_bound_covers(scored: dict[Any, Any], dialect: str) -> None:
    results = scored[dialect, "all"]
    assert sum(e.upper >= billed for e, billed in results) >= 0.99 * len(results)


def test_the_upper_bounds_are_no_guess(scored: dict[Any, Any]) -> None:
    """All bounds over all bills."""
    most = {"openai-chat": 1.05, "openai-responses": 1.2, "anthropic-messages": 1.15, "gemini-generate": 1.4}
    results = {dialect: scored[dialect, "all"] for dialect in most}
    sums = {dialect: sum(e.upper for e, _ in found) / sum(b for _, b in found) for dialect, found in results.items()}
    assert {dialect: found for dialect, found in sums.items() if found > most[dialect]} == {}


def test_documented_counts() -> None:
    path = CORPUS / "documented.jsonl"
    if not path.is_file():
        pytest.skip("the corpus is not here (set WEIGHBRIDGE_CORPUS)")
    pairs = [row for row in map(json.loads, path.read_text().splitlines()) if row["dialect"] == "openai-chat"]
    hits = sum(weighed(row, "openai").tokens == row["input_tokens"] for row in pairs)
    assert hits >= 0.98 * len(pairs)
