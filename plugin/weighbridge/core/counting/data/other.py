"""Models whose vocabulary is open but not here, and whose hosts put words of their own before ours.

Fitted on recorded bills by host and model (November 2026); few rows each, so the bounds are wide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Rules:
    """Offsets of a chat template, in tokens."""

    text: float = 1.0
    """Per token of o200k_base."""
    frame: float = 3.0
    """Once a request."""
    message: float = 3.0
    first_tool: float = 45.0
    tool: float = 1.2
    """Per token of a tool's JSON."""
    call: float = 18.0
    pixel: float = 1.2 / 1000
    """Per pixel of an image."""


PLAIN = Rules()
HOSTS = (
    (re.compile(r"gpt-oss"), replace(PLAIN, frame=64.0, first_tool=100.0)),
    (re.compile(r"grok"), replace(PLAIN, frame=140.0, first_tool=200.0)),
    (re.compile(r"llama-?4"), replace(PLAIN, first_tool=655.0)),
    (re.compile(r"llama-?3\.[1-9]"), replace(PLAIN, frame=32.0, first_tool=96.0)),
    (re.compile(r"llama-?3"), replace(PLAIN, frame=6.0)),
    (re.compile(r"command-(a|r7b)"), replace(PLAIN, frame=485.0, first_tool=1000.0)),
    (re.compile(r"command"), replace(PLAIN, first_tool=1000.0)),
    (re.compile(r"nova-2"), replace(PLAIN, first_tool=800.0)),
    (re.compile(r"nova"), replace(PLAIN, first_tool=400.0)),
    (re.compile(r"deepseek-v4"), replace(PLAIN, frame=80.0, first_tool=230.0)),
    (re.compile(r"deepseek"), replace(PLAIN, frame=1.0, first_tool=220.0)),
    (re.compile(r"magistral"), replace(PLAIN, frame=12.0)),
    (re.compile(r"mi(s|x)tral"), replace(PLAIN, frame=1.0, first_tool=16.0)),
    (re.compile(r"glm"), replace(PLAIN, frame=6.0, first_tool=100.0)),
    (re.compile(r"qwen"), replace(PLAIN, frame=8.0, first_tool=70.0)),
)
"""First match on the catalogue's row and the model's name; else PLAIN."""
