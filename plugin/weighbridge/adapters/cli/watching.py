"""Progress of long work, where somebody watches."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, ProgressColumn


def watching(*columns: ProgressColumn, out: Console, watched: bool) -> Progress:
    """Progress on `out`; where nobody watches, nothing at all."""
    # Before version 14, rich ends even a progress that is disabled with an empty line.
    return Progress(*columns, console=out if watched else Console(quiet=True), transient=True, disable=not watched)
