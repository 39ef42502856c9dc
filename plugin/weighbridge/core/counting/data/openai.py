"""How OpenAI's models bill what tiktoken cannot see, by generation.

Sources: recorded bills of public test suites (November 2026), the images and vision guide of the
developer documentation (November 2026), the cookbook "How to count tokens with tiktoken".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Tiles:
    """An image costs `base` and `tile` for each square of 512."""

    base: int
    tile: int


@dataclass(frozen=True, slots=True)
class Patches:
    """An image costs `factor` for each square of 32, at most `budget` of them."""

    factor: float
    budget: int = 1536
    edge: int | None = None
    """The image is shrunk to this longest side first."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One generation's constants, in tokens."""

    image: Tiles | Patches
    reply: int = 3
    """Once a request."""
    message: int = 4
    """Each message, its role included."""
    named: int = 1
    """A message with a name, beside the name's own tokens."""
    call: int = 3
    """A tool call in the history, beside its name and arguments."""
    parallel: int = 16
    """Several calls in one turn: the wrapper, beside its name and arguments."""
    preamble: int = 0
    """Chat with tools: a hidden text before the tools, which then stand apart from the system message."""
    choice_named: int = 7
    choice_none: int = 1
    responses_tools: tuple[int, int] = (0, 0)
    """Responses with tools: (with, without) a system message."""
    responses_schema: int = 0
    pdf_page: tuple[int, int] = (215, 38)
    """Beside the text of a page: (chat, responses)."""


CLASSIC = Rules(image=Tiles(85, 170), responses_tools=(-2, -6), responses_schema=-7)
GPT5 = Rules(
    image=Tiles(70, 140),
    reply=2,
    call=9,
    parallel=22,
    preamble=85,
    choice_named=0,
    choice_none=0,
    responses_tools=(2, -1),
    pdf_page=(215, 5),
)
GPT5_MINI = replace(GPT5, image=Patches(1.2))
NEWER = replace(GPT5, image=Patches(1.2, 2500, 2048), preamble=0, responses_tools=(3, -1))
REASONING = replace(CLASSIC, image=Tiles(75, 150), reply=2)

GENERATIONS = (
    (re.compile(r"gpt-4o-mini"), replace(CLASSIC, image=Tiles(2833, 5667), pdf_page=(215, 4))),
    (re.compile(r"gpt-4o-2024-08-06"), replace(CLASSIC, named=0)),
    (re.compile(r"gpt-4\.1-mini"), replace(CLASSIC, image=Patches(1.62), pdf_page=(215, 4))),
    (re.compile(r"gpt-4\.1-nano"), replace(CLASSIC, image=Patches(2.46), pdf_page=(215, 4))),
    (re.compile(r"gpt-3\.5-turbo-0301"), replace(CLASSIC, message=5, named=-1)),
    (re.compile(r"gpt-5-mini"), GPT5_MINI),
    (re.compile(r"gpt-5-nano"), replace(GPT5_MINI, image=Patches(1.5))),
    (re.compile(r"gpt-5\.4-(mini|nano)"), replace(GPT5_MINI, image=Patches(1.2, 2500, 2048))),
    (re.compile(r"gpt-5\.[4-9]|gpt-[6-9]"), NEWER),
    (re.compile(r"gpt-5"), GPT5),
    (re.compile(r"^o4-mini"), replace(CLASSIC, image=Patches(1.72), pdf_page=(215, 4))),
    (re.compile(r"^o3"), REASONING),
    (re.compile(r"^o1"), replace(REASONING, reply=3)),
    (re.compile(r"computer-use"), replace(CLASSIC, image=Tiles(65, 129))),
)
"""First match on the model's name; else CLASSIC."""

LOW_DETAIL_EDGE = 512
AUDIO_PER_SECOND = 10
REASONING_HEAD = 780
REASONING_PER_CHARACTER = 0.17
REASONING_ITEM = 6
"""Encrypted reasoning: (characters of base64 - head) x rate + item, after the last user message only."""
COMPACT_PROMPT = 93
"""Hidden prompt of `responses/compact`."""
