"""How OpenAI's models bill what tiktoken cannot see, by generation.

Sources: recorded bills of public test suites (November 2026), the images and vision guide of the
developer documentation (November 2026), the cookbook "How to count tokens with tiktoken".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


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
    by_detail: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Detail asked for -> (edge, budget), where they differ from these."""
    more: tuple[int, int] = (0, 0)
    """Each image, beside its squares: (chat, responses)."""


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
    spoken: int = 0
    """A text of the assistant, beside the message's: its channel."""
    answered: int = 4
    """A text of the assistant in a chat with an output schema: it was written to the schema."""
    instructions: int = 4
    """Responses with instructions that are empty: the provider's own, with the message around them."""
    call: int = 4
    """A tool call in the history, beside its name and arguments."""
    parallel: int = 16
    """Several calls in one turn of a chat: the wrapper, beside its name and arguments."""
    ascii_results: bool = False
    """The results of such calls are written in ASCII."""
    apart: int = 0
    """Tools stand in a message of their own, which costs this beside them; 0: they are written behind
    the system message."""
    preamble: int = 0
    """Chat with tools that stand apart: a hidden text before them."""
    undescribed: int = 1
    """Tools that stand apart and whose first has no description: this much less."""
    choice_named: int = 7
    choice_none: int = 1
    responses_tools: tuple[int, int] = (0, 0)
    """Responses with tools behind the system message: (with, without) one."""
    responses_schema: int = 0
    pdf_page: tuple[int, int] = (216, 35)
    """Beside the text of a page: (chat, responses)."""


CLASSIC = Rules(image=Tiles(85, 170), responses_tools=(-2, -6), responses_schema=-7)
GPT4O = replace(CLASSIC, instructions=216)
GPT5 = Rules(
    image=Tiles(70, 140),
    reply=2,
    call=10,
    parallel=22,
    apart=3,
    preamble=82,
    choice_named=0,
    choice_none=0,
    spoken=2,
    responses_schema=-7,
    pdf_page=(217, 0),
)
GPT5_MINI = replace(GPT5, image=Patches(1.2, more=(2, 5)))
BIG_IMAGES = Patches(1.2, 2500, 2048, {"low": (2048, 6144), "original": (6000, 10_000)})
NEWER = replace(GPT5, preamble=0)
SMALL = {"low": (512, 2500), "high": (2048, 2500)}
REASONING = replace(CLASSIC, image=Tiles(75, 150), reply=2, instructions=59)

GENERATIONS = (
    (re.compile(r"gpt-4o-mini"), replace(GPT4O, image=Tiles(2833, 5667), ascii_results=True, pdf_page=(216, 4))),
    (re.compile(r"gpt-4o"), GPT4O),
    (re.compile(r"gpt-4\.1-mini"), replace(CLASSIC, image=Patches(1.62, more=(1, 1)), pdf_page=(216, 4))),
    (re.compile(r"gpt-4\.1-nano"), replace(CLASSIC, image=Patches(2.46, more=(1, 1)), pdf_page=(216, 4))),
    (re.compile(r"gpt-3\.5-turbo-0301"), replace(CLASSIC, message=5, named=-1)),
    (re.compile(r"gpt-5-mini"), GPT5_MINI),
    (re.compile(r"gpt-5-nano"), replace(GPT5_MINI, image=Patches(1.5, more=(1, 1)))),
    (re.compile(r"gpt-5\.4-(mini|nano)"), replace(GPT5, image=BIG_IMAGES)),
    (re.compile(r"gpt-5\.4"), replace(NEWER, image=BIG_IMAGES)),
    (re.compile(r"gpt-5\.5"), replace(NEWER, image=Patches(1.2, 10_000, 6000, SMALL))),
    (re.compile(r"gpt-5\.[6-9]|gpt-[6-9]"), replace(NEWER, image=Patches(1.2, 30_000, 65_535, SMALL))),
    (re.compile(r"gpt-5\.2"), replace(GPT5, image=Patches(1.2, 6144, 2048))),
    (re.compile(r"gpt-5"), GPT5),
    (re.compile(r"^o4-mini"), replace(CLASSIC, image=Patches(1.72), pdf_page=(216, 3))),
    (re.compile(r"^o3"), REASONING),
    (re.compile(r"^o1"), replace(REASONING, reply=3)),
    (re.compile(r"computer-use"), replace(CLASSIC, image=Tiles(65, 129), reply=2, instructions=0)),
)
"""First match on the model's name; else CLASSIC."""

PHOTO = (3000, 2000)
"""Pixels an image that cannot be seen is taken to have at most."""
AUDIO_PER_SECOND = 10
AUDIO = 4
"""Each sound, beside its length."""
RESPONSES_CALL = {False: -2, True: 1}
"""A tool call in the history of Responses, beside what it is in chat: without and with the id that
the provider gave it."""
BEDROCK_TOOLS = 6
"""Tools on Bedrock's OpenAI endpoint, beside what they are in Responses."""
OPENROUTER_PDF = 10
"""A PDF sent through OpenRouter, which passes its text on with a tag around it: in place of its pages."""
PDF_TEXT_PER_PAGE = 500
PDF_BYTES_PER_TOKEN = 25
"""A PDF nobody here can read: its pages are taken to be full of text, as far as its length allows."""
REASONING_PER_CHARACTER = 0.15


@dataclass(frozen=True, slots=True)
class Sealed:
    """How one kind of encrypted reasoning is billed."""

    head: int
    """Characters of base64 that hold no reasoning (keys, seals)."""
    item: int
    """Beside the reasoning."""
    lasts: bool
    """Billed in later turns too, not only until the next message of the user."""


SEALED = {"gAAAAA": Sealed(860, 6, lasts=False)}
"""By its first characters: OpenAI's own; any other is Bedrock's."""
SEALED_ELSEWHERE = Sealed(700, 2, lasts=True)
