"""How Claude bills what is not plain text, by generation.

Sources: the tool use, vision and PDF pages of the provider's documentation (July 2026) and recorded
bills (November 2026, 299 calls).  Text is counted with Claude 2's vocabulary, three digits as one: over
plain prompts that is exact for two of three; its few weights, and the shapes of tools, calls, schemas
and thoughts, were found by their residuals.  What stands on one to three calls is marked (n).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from weighbridge.core.counting.data.unseen import SERVER_TOOL, WEB
from weighbridge.core.counting.text import Weights


@dataclass(frozen=True, slots=True)
class Rules:
    """One generation's constants, in tokens."""

    text: Weights
    """Per token of VOCABULARY."""
    foreign: Weights
    """Per token of another vocabulary, where the settings name one (fitted on o200k_base)."""
    frame: float = 7.0
    """One user message."""
    message: float = 3.0
    """Each further message."""
    tools: tuple[int, int] = (313, 315)
    """The hidden system prompt that comes with tools: choice (auto or none, any or one tool).  Published
    by model, but where bills say otherwise: those of Sonnet 4 (346 and 313 are published), and the page
    on token counting, whose example with Sonnet 3.5 has this too."""
    tool: float = 1.05
    """A tool written as JSON, beside its text's own weight."""
    each: float = 6.0
    """Each tool."""
    calls: float = -14.0
    """A turn of the history with tool calls, ..."""
    call: float = 54.0
    """... each call in it with its result, beside the name and the arguments, ..."""
    argument: float = 16.0
    """... and each argument, beside its name and value."""
    image: float = 4.0
    """An image, beside its squares."""
    page: float = 1608.0
    """The picture of a PDF page."""
    edge: int = 1568
    squares: int = 1568
    """Images: longest side, and most squares of 28."""
    thinking: float = 28.7
    """Extended thinking switched on."""
    adaptive: float = 0.0
    """Adaptive thinking switched on."""
    remembers: bool = False
    """Thoughts of earlier turns stay in the prompt (else those since a person last spoke)."""


VOCABULARY = "claude-2"
TASK_BUDGET = 36.0
V3 = Rules(
    text=Weights(token=1.0, tripled=-2.0, starred=0.7, shouted=0.385),
    foreign=Weights(token=1.06, grouped=1.0, joined=0.7),
)
V47 = replace(
    V3,
    tools=(354, 474),
    text=Weights(token=1.33, digit=-0.45),
    foreign=Weights(token=1.4, grouped=0.5),
    frame=9.0,
    call=45.0,
    edge=2576,
    squares=4784,
    remembers=True,
)

GENERATIONS = (
    (re.compile(r"opus-5|fable|mythos"), replace(V47, tools=(375, 495))),
    (re.compile(r"(opus|sonnet|haiku)-(5|[6-9])"), V47),
    (re.compile(r"opus-4-8|opus-4\.8"), replace(V47, tools=(290, 410))),
    (re.compile(r"opus-4-7|opus-4\.7"), replace(V47, tools=(675, 804))),
    (re.compile(r"opus-4[-.]6"), replace(V3, tools=(497, 589), adaptive=17.0, remembers=True)),
    (re.compile(r"-4[-.]6"), replace(V3, tools=(497, 589), remembers=True)),
    (re.compile(r"opus-4[-.]5"), replace(V3, tools=(496, 588), remembers=True)),
    (re.compile(r"-4[-.]5"), replace(V3, tools=(496, 588))),
    (re.compile(r"(opus|sonnet)-4"), V3),
    (re.compile(r"3[-.]5-haiku"), replace(V3, tools=(264, 362), image=22.0)),
    (re.compile(r"3[-.]5-sonnet-20240620"), replace(V3, tools=(294, 261))),
    (re.compile(r"3-opus"), replace(V3, tools=(530, 281))),
    (re.compile(r"3-sonnet"), replace(V3, tools=(159, 235))),
    (re.compile(r"3-haiku"), replace(V3, tools=(264, 340))),
    (re.compile(r"claude-(v2|2|instant)"), replace(V3, text=Weights(token=1.0, shouted=0.385), frame=9.0, message=4.0)),
)
"""First match on the model's name; else V3 for the Claude 3 names and V47 for names still to come."""
OLD = re.compile(r"claude-(3|2|instant|v2)")

PDF_TEXT = 400.0
"""A page of a PDF that is not read."""
PDF_AS_TEXT = 46.0
"""A page of a PDF that is read without being looked at: Bedrock's Converse, up to Claude 3.7 (n=1)."""
TEXT_DOCUMENT = 37.0
NAMED_DOCUMENT = 9.0
SCHEMA = 98.0
"""An output schema, beside its JSON in indented lines."""
SCHEMA_BESIDE_TOOLS = 3.0
THOUGHT = 12.0
FILE_IN_RESULT = 11.0

SERVER_TOOLS = (
    ("bash", 245, 0),
    ("text_editor", 700, 0),
    ("computer", 735 + 499, 0),
    ("tool_search", 200, 500),
    ("web_search", 1_100, WEB),
    ("web_fetch", 1_100, WEB),
    ("code_execution", 1_290, SERVER_TOOL),
    ("mcp", 0, SERVER_TOOL),
)
"""Prefix of the tool's type -> (tokens of its own prompt, the most its results are taken to add).
The first three are published, the others read off recorded calls (one to nine of each)."""
