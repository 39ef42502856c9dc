"""Vocabularies from litellm's files, without litellm and without a network."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import tiktoken

from weighbridge.core.errors import ConfigError
from weighbridge.tokenizers import load
from weighbridge.tokenizers import tiktoken as ours

TEXT = "Weighed 1234567 times — 'twas «déjà vu», 再び。\n\n\tdef f(x):\r\n    return x // 2  # ok\n" * 3


@pytest.mark.parametrize(
    ("name", "tokens"), [("o200k_base", 5), ("cl100k_base", 5), ("p50k_base", 5), ("o200k_harmony", 5)]
)
def test_known_vocabularies(name: str, tokens: int) -> None:
    assert load(name).count("antidisestablishmentarianism") in (tokens, tokens + 1)
    assert load(name).count(TEXT) > 60


def test_special_tokens_and_odd_characters_are_text() -> None:
    assert load("o200k_base").count("<|endoftext|>") == 7
    assert load("o200k_base").count("\ud800") >= 1
    assert load("o200k_base").count("") == 0


def test_one_instance_a_name_and_lazy() -> None:
    assert load("o200k_base") is load("o200k_base")
    assert ours.TiktokenTokenizer("nobody")._encoding is None


def test_an_unknown_name_says_which_are_known() -> None:
    with pytest.raises(ConfigError, match=r'no tokenizer "nobody".*o200k_base'):
        load("nobody").count("x")


def test_a_damaged_file_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ours.BUNDLED, "p50k_base", replace(ours.BUNDLED["p50k_base"], sha256="0" * 64))
    with pytest.raises(ConfigError, match=r"damaged.*pip install --force-reinstall litellm"):
        ours.load_encoding("p50k_base")


def test_without_litellm_tiktoken_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str) -> tiktoken.Encoding:
        raise OSError("no network")

    monkeypatch.setattr(ours, "find_spec", lambda name: None)
    monkeypatch.setattr(tiktoken, "get_encoding", unreachable)
    with pytest.raises(ConfigError, match="pip install"):
        ours.load_encoding("o200k_base")


def test_threads_share_one_vocabulary() -> None:
    fresh = ours.TiktokenTokenizer("p50k_base")
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(fresh.count, [TEXT] * 64))) == 1


def test_litellm_is_not_imported() -> None:
    code = (
        "import sys; from weighbridge.tokenizers import load; from weighbridge.modeltable import rows;"
        "load('o200k_base').count('x'); assert rows()['gpt-4o']; sys.exit('litellm' in sys.modules)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode
        == 0
    )
