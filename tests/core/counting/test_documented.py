"""Counts that are documented in public, against ours: floors that a change of rules may not fall below."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import estimate
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.model import Estimate, RawCall
from weighbridge.modeltable import rows
from weighbridge.tokenizers import load

DOCUMENTED = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")
SPOKEN = {"anthropic-count": "anthropic-messages", "gemini-count": "gemini-generate"}
"""The file's word for a count route -> the dialect, where they differ."""
CATALOGUE = Catalogue(rows())


@pytest.fixture(scope="module")
def pairs() -> list[tuple[dict[str, Any], Estimate]]:
    """Each documented request that is written out in full, with our estimate."""
    file = DOCUMENTED / "documented.jsonl"
    if not file.is_file():
        pytest.skip("the corpus is not here (set WEIGHBRIDGE_CORPUS)")
    documented = map(json.loads, file.read_text().splitlines())
    return [(row, found) for row in documented if (found := estimated(row)) is not None]


def estimated(row: dict[str, Any]) -> Estimate | None:
    """Ours; None where the page leaves something out, or where it takes a tokenizer from the hub."""
    dialect = SPOKEN.get(row["dialect"], row["dialect"])
    elided = any(word in row.get("note", "") for word in ("not included", "not available", "not published"))
    if dialect not in DIALECTS or elided:
        return None
    model = row["model"] if dialect == "gemini-generate" else None
    raw = RawCall(dialect, json.dumps(row["request"]).encode(), model=model, counts=True)
    call = (DIALECTS[dialect].parse_count or DIALECTS[dialect].parse)(raw)
    known = CATALOGUE.model(call.model)
    return estimate(call, known, load(known.tokenizer))


def scored(pairs: list[tuple[dict[str, Any], Estimate]], authority: str) -> list[tuple[int, Estimate]]:
    found = [(row["input_tokens"], ours) for row, ours in pairs if row["authority"] == authority]
    assert found, "nothing was scored"
    return found


@pytest.mark.parametrize(("authority", "exact"), [("provider", 1.0), ("provider-verified", 0.85)])
def test_exact(pairs: list[tuple[dict[str, Any], Estimate]], authority: str, exact: float) -> None:
    found = scored(pairs, authority)
    assert sum(ours.tokens == printed for printed, ours in found) >= exact * len(found)


@pytest.mark.parametrize("authority", ["provider", "provider-verified"])
def test_under_the_bound(pairs: list[tuple[dict[str, Any], Estimate]], authority: str) -> None:
    found = scored(pairs, authority)
    assert sum(printed <= ours.upper for printed, ours in found) >= 0.99 * len(found)


def test_examples_of_pages_that_outlived_their_models(pairs: list[tuple[dict[str, Any], Estimate]]) -> None:
    """A page's number stays while the model's name beside it changes, so half is as good as it gets."""
    found = scored(pairs, "doc-example")
    assert sum(abs(ours.tokens - printed) <= max(2, printed / 10) for printed, ours in found) >= 0.5 * len(found)
