"""A SentencePiece vocabulary by its path: Gemini's text in the vocabulary it is billed in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from weighbridge.core.catalogue import Catalogue
from weighbridge.core.counting import estimate
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.errors import ConfigError
from weighbridge.core.model import RawCall
from weighbridge.tokenizers import load

sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
TEXT = "The lorry was weighed and found wanting."


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    prefix = tmp_path_factory.mktemp("vocabulary") / "gemma"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([TEXT, "Weighing is knowing.", "lorry after lorry"] * 20),
        model_prefix=str(prefix),
        vocab_size=60,
        model_type="bpe",
        byte_fallback=False,
        minloglevel=2,
    )
    return prefix.with_suffix(".model")


def test_geminis_text_is_counted_in_it(vocabulary: Path) -> None:
    catalogue = Catalogue({}, {"gemini-2.5-pro": {"tokenizer": str(vocabulary)}})
    body = {"systemInstruction": {"parts": [{"text": TEXT}]}, "contents": [{"parts": [{"text": TEXT * 2}]}]}
    raw = RawCall("gemini-generate", json.dumps(body).encode(), model="gemini-2.5-pro")
    known = catalogue.model("gemini-2.5-pro")
    found = estimate(DIALECTS["gemini-generate"].parse(raw), known, load(known.tokenizer))
    exact = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary))
    # The API bills one more for each message.
    assert found.tokens == 2 + len(exact.encode(TEXT)) + len(exact.encode(TEXT * 2))
    assert found.upper <= found.tokens + 16 and "gemma.model" in found.method


def test_lone_surrogates(vocabulary: Path) -> None:
    assert load(str(vocabulary)).count("\ud800 a") > 0


def test_what_is_no_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "no.model"
    path.write_bytes(b"no")
    with pytest.raises(ConfigError, match="no SentencePiece vocabulary"):
        load(str(path)).count("a")
