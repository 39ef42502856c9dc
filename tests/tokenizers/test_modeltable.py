"""The model table is found beside litellm, and its absence has a fix."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from weighbridge import modeltable
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import ConfigError


def test_the_installed_table_prices_well_known_models() -> None:
    catalogue = Catalogue(modeltable.rows())
    for name, provider in (("gpt-4o", "openai"), ("claude-sonnet-4-5", "anthropic"), ("gemini-2.5-flash", "gemini")):
        model = catalogue.model(name, provider)
        assert model.prices[""].steps[0][1].input > 0
        assert model.max_input
        assert model.max_output
    assert "sample_spec" not in modeltable.rows()


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is not installed"), ("not json", "cannot be read"), ("[]", "not a JSON object")],
    ids=["absent", "damaged", "another shape"],
)
def test_without_a_table(content: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("litellm", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    if content is not None:
        (tmp_path / modeltable.FILE).write_text(content)
    monkeypatch.setattr(modeltable, "find_spec", lambda name: spec)
    with pytest.raises(ConfigError, match=f'{words}.*pip install "litellm'):
        modeltable.rows.__wrapped__()
