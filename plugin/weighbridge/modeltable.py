"""The table of models and prices that litellm ships, read without importing litellm (2.5 s, 165 MB)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from weighbridge.core.errors import ConfigError
from weighbridge.core.model import Json

FILE = "model_prices_and_context_window_backup.json"
FIX = 'pip install "litellm>=1.80"'


@lru_cache(maxsize=1)
def rows() -> Mapping[str, Json]:
    """Every row of the installed table by its name.  Raises ConfigError where there is none."""
    spec = find_spec("litellm")
    folders = (spec.submodule_search_locations if spec else None) or []
    for folder in folders:
        path = Path(folder, FILE)
        if path.is_file():
            return _read(path)
    raise ConfigError(f"the table of models comes with litellm, which is not installed: {FIX}")


def _read(path: Path) -> Mapping[str, Json]:
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"the table of models {path} cannot be read ({error}): {FIX}") from error
    if not isinstance(table, dict):
        raise ConfigError(f"the table of models {path} is not a JSON object: {FIX}")
    return {name: row for name, row in table.items() if isinstance(row, dict) and name != "sample_spec"}
