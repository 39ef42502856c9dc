"""How Claude bills what cannot be tokenized offline, by generation.

Sources: the tool use, vision and PDF pages of the provider's documentation (July 2026); everything
that is not a round number there was fitted on recorded bills (November 2026): least absolute
relative error over 46 prompts and 87 requests with tools for V3, 4 and 7 for V47.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from weighbridge.core.counting.text import Weights


@dataclass(frozen=True, slots=True)
class Rules:
    """One generation's constants, in tokens."""

    text: Weights
    """Fitted on o200k_base counts of recorded prompts without tools or media."""
    frame: float = 7.0
    """One user message."""
    message: float = 2.65
    """Each further message."""
    tools: tuple[int, int] = (346, 313)
    """The hidden system prompt that comes with tools: choice (auto or none, any or one tool)."""
    tool: float = 1.17
    """A tool written as compact JSON, beside its text's own weight."""
    each: float = 2.0
    """Each tool."""
    call: float = 39.0
    """A tool call in the history, beside its name and arguments."""
    arguments: float = 1.16
    """A call's name and arguments, beside their text's own weight."""
    result: float = 20.0
    """A tool result, beside its text."""
    edge: int = 1568
    squares: int = 1568
    """Images: longest side, and most squares of 28."""
    thinking: float = 28.7
    """Extended thinking switched on."""
    adaptive: float = 0.0
    """Adaptive thinking switched on."""


V3 = Rules(text=Weights(token=1.034, digit=0.095, capital=0.15, foreign=0.3, line=0.7))
V47 = replace(V3, text=Weights(token=1.38, digit=0.1), frame=8.0, tool=0.95, arguments=0.95, edge=2576, squares=4784)

GENERATIONS = (
    (re.compile(r"opus-5|fable|mythos"), replace(V47, tools=(360, 480))),
    (re.compile(r"(opus|sonnet|haiku)-(5|[6-9])"), replace(V47, tools=(354, 474))),
    (re.compile(r"opus-4-8|opus-4\.8"), replace(V47, tools=(290, 410))),
    (re.compile(r"opus-4-7|opus-4\.7"), replace(V47, tools=(675, 804))),
    (re.compile(r"opus-4[-.]6"), replace(V3, tools=(497, 589), adaptive=17.0)),
    (re.compile(r"-4[-.]6"), replace(V3, tools=(497, 589))),
    (re.compile(r"-4[-.]5"), replace(V3, tools=(496, 588))),
    (re.compile(r"(opus|sonnet)-4"), replace(V3, tools=(313, 315))),
    (re.compile(r"3[-.]5-haiku"), replace(V3, tools=(271, 362))),
    (re.compile(r"3[-.]5-sonnet-20240620"), replace(V3, tools=(294, 261))),
    (re.compile(r"3-opus"), replace(V3, tools=(530, 281))),
    (re.compile(r"3-sonnet"), replace(V3, tools=(159, 235))),
    (re.compile(r"3-haiku"), replace(V3, tools=(264, 340))),
)
"""First match on the model's name; else V3 for the Claude 3 names and V47 for names still to come."""
OLD = re.compile(r"claude-(3|2|instant|v2)")

PDF_PAGE = 1590.0
PDF_CHARACTER = 0.36
TEXT_DOCUMENT = 37.0
SCHEMA = 115.0
SCHEMA_TOKEN = 1.08

SERVER_TOOLS = (
    ("bash", 245),
    ("text_editor", 700),
    ("computer", 735 + 499),
)
"""Prefix of the tool's type -> tokens of its own prompt, where published."""
