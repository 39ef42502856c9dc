"""Names that are not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from weighbridge.core.errors import ConfigError


def unknown(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name nobody knows, with the nearest that is known."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}" if names else "there is none yet"
    return ConfigError(f"there is no {kind} {name!r}; {hint}")
