"""Mutants that no test can tell from the original, each with the reason.

The key is (file, the line, the line as mutated), so that it moves with the code.  `lua.py` says
which rows are stale: their line is gone, or a test does tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

EQUIVALENT: Mapping[tuple[str, str, str], str] = {}
