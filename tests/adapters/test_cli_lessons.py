"""`accuracy --live`: what the store's lessons say, and a calibration made of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.commands import Run, answer
from weighbridge.core.counting.lesson import Seen, Topic
from weighbridge.core.lessons import Learn, Note
from weighbridge.ledger import Store

TOPICS = (
    Topic("other", "groq", "llama"),
    Topic("other", "groq", "llama", True, "auto"),
    Topic("openai", "openai", "o"),
)
LENGTHS = (40, 80, 120, 160)


@pytest.fixture
def learnt(store: Store) -> None:
    """Groq adds 300 tokens; OpenAI nothing."""
    notes = [
        Note(topic.name, Seen(f"{n}", tokens, 50, tokens + 300 * (topic.host == "groq"), tokens, 1).word)
        for topic in TOPICS
        for n, tokens in enumerate(LENGTHS)
    ]
    store.run(Learn(tuple(notes)))


def test_nothing_learnt_yet(run: Run) -> None:
    assert "Nothing was learnt yet" in run("accuracy", "--live", "--store", "memory://").stdout


def test_a_table(run: Run, learnt: None) -> None:
    lines = run("accuracy", "--live").stdout.splitlines()
    assert lines[0].split()[:3] == ["host", "model", "content"] and len(lines) >= 1 + len(TOPICS)
    [line] = [line for line in lines if "tools (auto)" in line]
    assert line.split()[:7] == ["groq", "llama", "tools", "(auto)", "4", "+300", "1.000"]


def test_a_document(run: Run, learnt: None) -> None:
    found = answer(run("accuracy", "--live", "--json"))
    ours = [lesson for lesson in found["lessons"] if lesson["model"] in (topic.model for topic in TOPICS)]
    assert found["live"] == "on" and [lesson["bills"] for lesson in ours] == [4, 4, 4]
    assert {(lesson["host"], lesson["add"]) for lesson in ours} == {("groq", 300), ("openai", 0)}


def test_an_export_is_a_calibration(run: Run, learnt: None, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    assert "calibration:" in run("accuracy", "--live", "--export", str(file)).stdout
    assert len(json.loads(file.read_text())["lines"]) >= len(TOPICS)
    config = tmp_path / "weighbridge.yaml"
    config.write_text(f"counting: {{calibration: {file}}}\n")
    assert run("accuracy", "--live", "--config", str(config), "--json").exit_code == 0


@pytest.mark.parametrize("words", [(), ("--live", "traffic.jsonl"), ("traffic.jsonl", "--export", "x")])
def test_one_or_the_other(run: Run, words: tuple[str, ...]) -> None:
    assert run("accuracy", *words).exit_code == 2
