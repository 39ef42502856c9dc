"""What a check-up finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    check: str
    status: Literal["ok", "note", "wrong"]
    detail: str
    fix: str = ""
    """What to do about it, where something is to be done."""
