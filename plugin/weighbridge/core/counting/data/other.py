"""Models whose vocabulary is open but not here, and whose hosts put words of their own before ours.

Read off recorded bills by host and model (November 2026): bill less o200k_base tokens of what was
sent.  A row stands on the calls counted behind it, mostly one to five distinct bodies, so the bounds
are wide; a count of the same host's earlier bills (`weighbridge calibrate`) is better than any row here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from weighbridge.core.counting.text import Weights


@dataclass(frozen=True, slots=True)
class Rules:
    """Offsets of a chat template, in tokens."""

    text: float = 1.0
    """Per token of o200k_base."""
    frame: float = 3.0
    """Once a request."""
    message: float = 3.0
    first_tool: float = 45.0
    each: float = 0.0
    """Each tool, beside its JSON."""
    tool: float = 1.2
    """Per token of a tool's JSON."""
    call: float = 30.0
    """A call in the history with its result, beside their words."""
    schema: float = 1.0
    """Per token of an output schema."""
    thought: float = 1.0
    """Per token of replayed reasoning; most templates leave it out."""
    pixel: float = 1.35 / 1000
    """Per pixel of an image."""
    image: int = 0
    """An image of any size; 0: by its pixels or tiles."""
    tile: int = 0
    """An image's square of 336, and the view of the whole; 0: by its pixels."""
    page: float = 30.0
    """A PDF page, beside its text."""
    page_text: float = 1.0
    """Per token of its text."""
    second: float = 160.0
    """A second of film."""


WEIGHTS = Weights(token=1.0, shouted=0.3)
PLAIN = Rules()
OSS = replace(PLAIN, frame=64.0, first_tool=10.0, tool=0.9, call=18.0, thought=0.0)
GROK = replace(PLAIN, frame=180.0, first_tool=135.0, tool=1.0, image=256)
NOVA = replace(PLAIN, frame=0.0, message=0.0, first_tool=349.0, call=31.0, image=1815, schema=0.0)
COMMAND = replace(PLAIN, frame=60.0, first_tool=800.0, tool=1.0, call=50.0)
LLAMA3 = replace(PLAIN, frame=32.0, first_tool=96.0)
LLAMA4 = replace(PLAIN, frame=8.0, message=2.0, first_tool=650.0, tile=144)
MISTRAL = replace(PLAIN, frame=2.0, message=1.6, first_tool=12.0, each=8.0, call=10.0, page=5.0, page_text=1.2)
DEEPSEEK = replace(PLAIN, frame=3.0, message=0.0, first_tool=220.0, call=45.0)
GLM = replace(PLAIN, frame=2.0, first_tool=100.0)
QWEN = replace(PLAIN, frame=8.0, first_tool=80.0, pixel=1.25 / 1000)

HOSTS = (
    (re.compile(r"grok-3-mini"), replace(GROK, frame=4.0)),  # 1
    (re.compile(r"grok-[123]"), replace(GROK, frame=4.0, first_tool=195.0)),  # 3 bodies
    (re.compile(r"grok-4(-fast|-1|\.1).*non-reasoning"), GROK),  # 12
    (re.compile(r"grok-4(-fast|-1|\.1)"), replace(GROK, frame=153.0)),  # 5
    (re.compile(r"openrouter.*grok-4$"), replace(GROK, frame=681.0)),  # 1
    (re.compile(r"grok"), replace(GROK, frame=203.0)),  # 1
    (re.compile(r"groq.*gpt-oss"), replace(OSS, frame=68.0, schema=3.0)),  # 7
    (re.compile(r"gpt-oss"), OSS),  # 12
    (re.compile(r"bedrock.*llama-?4"), replace(LLAMA4, first_tool=95.0, tile=288)),  # 4
    (re.compile(r"huggingface.*llama-?4"), replace(LLAMA4, first_tool=530.0)),  # 2
    (re.compile(r"llama-?4"), LLAMA4),  # 13
    (re.compile(r"openrouter.*llama-?3"), replace(LLAMA3, frame=8.0)),  # 1
    (re.compile(r"groq.*llama-?3\.\d"), replace(LLAMA3, frame=44.0)),  # 1
    (re.compile(r"llama-?3[.-]\d(?!b)"), LLAMA3),  # 11
    (re.compile(r"bedrock.*llama-?3"), replace(LLAMA3, frame=11.0)),  # 2
    (re.compile(r"llama-?3"), replace(LLAMA3, frame=6.0)),  # 5
    (re.compile(r"bedrock.*command"), replace(COMMAND, frame=0.0, message=0.0)),  # 1
    (re.compile(r"command-r7b"), replace(COMMAND, frame=475.0, message=18.0, first_tool=920.0, call=70.0)),  # 6
    (re.compile(r"command-a"), replace(COMMAND, frame=1380.0)),  # 1, and a reasoning one
    (re.compile(r"command"), COMMAND),  # 7
    (re.compile(r"nova-2"), replace(NOVA, first_tool=852.0, image=0, page=2580.0, page_text=0.0)),  # 14
    (re.compile(r"nova"), NOVA),  # 38
    (re.compile(r"titan"), replace(PLAIN, frame=9.0, message=0.0)),  # 1
    (re.compile(r"jamba"), replace(PLAIN, frame=7.0)),  # 2
    (re.compile(r"bedrock.*palmyra"), replace(PLAIN, frame=1.0, message=1.0, first_tool=6.0)),  # 1
    (re.compile(r"palmyra"), replace(PLAIN, frame=29.0, first_tool=99.0)),  # 5
    (re.compile(r"deepseek-r1"), replace(DEEPSEEK, thought=0.0)),  # 9
    (re.compile(r"deepseek-v4"), replace(DEEPSEEK, frame=82.0, first_tool=226.0)),  # 8
    (re.compile(r"deepseek"), DEEPSEEK),  # 5
    (re.compile(r"magistral"), replace(MISTRAL, frame=12.0)),  # 2
    (re.compile(r"pixtral"), replace(MISTRAL, pixel=4.16 / 1000, page=55.0)),  # 3
    (re.compile(r"mi[sx]tral|devstral|codestral|ministral"), MISTRAL),  # 30
    (re.compile(r"glm-5|minimax"), replace(GLM, frame=9.0)),  # 7
    (re.compile(r"openrouter.*glm"), replace(GLM, frame=6.0)),  # 1
    (re.compile(r"glm"), GLM),  # 5
    (re.compile(r"qwen-?2"), replace(QWEN, frame=17.0)),  # 1
    (re.compile(r"qwen"), QWEN),  # 5
)
"""First match on the provider, the catalogue's row and the model's name, with the recorded calls
behind it; else PLAIN."""

BEDROCK_SCHEMA = 0.0
"""Bedrock holds the open models to a schema without showing it to them (3 calls)."""
TILES_MOST = 16
"""Squares of an image that are looked at."""
HIDDEN_REASONING = "</think>"
"""Templates of reasoning models leave out an earlier answer up to here."""
PAGE_TEXT = 500.0
"""Tokens of text on a PDF page that is not read."""
