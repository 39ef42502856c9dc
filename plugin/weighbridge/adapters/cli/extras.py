"""What is not installed, and the command that installs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weighbridge.core.errors import ConfigError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around the imports of an optional part.  Raises ConfigError with the pip line."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or "a module"
        if missing.startswith("weighbridge"):
            raise
        raise ConfigError(f"{missing} is not installed; pip install 'weighbridge[{extra}]'") from error
