"""How Gemini bills, by generation.

Sources: the token and media resolution pages of the developer documentation (September 2026);
signatures, functions and 2.0's crops from recorded bills (November 2026).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from weighbridge.core.counting.text import Weights


@dataclass(frozen=True, slots=True)
class Rules:
    """One generation's constants, in tokens."""

    text: Weights
    """Fitted on o200k_base counts of recorded prompts without tools or media."""
    image: int = 0
    """The image budget of the shape formula; 0: `crop` holds."""
    crop: int = 258
    cropped: bool = False
    """Large images cost their crops too."""
    page: int = 258
    """A PDF page; with the shape formula, its budget."""
    second: int = 32
    """A second of sound."""
    frame: int = 258
    """A second of film without its sound."""
    signature: float = 0.0
    """Per character of a replayed thought signature, since the last user turn (Gemini API only)."""
    turn: float = 0.0
    """Each message, the system's too."""
    block: float = 19.0
    """Offering functions at all."""
    strings: float = 1.28
    """A function's names and descriptions, beside their text's own weight."""
    property: float = 8.5
    """Each property of a function."""
    any: float = 0.0
    """Mode ANY."""
    call: float = 13.0
    call_token: float = 1.6
    result: float = 6.0
    result_token: float = 0.62
    detail: dict[str, int] = field(default_factory=dict)
    """Media resolution -> image budget."""


TEXT = Weights(token=1.04, digit=0.2, foreign=0.1, line=0.23)
G20 = Rules(
    text=TEXT,
    cropped=True,
    second=25,
    block=0.0,
    strings=0.92,
    property=3.0,
    call=3.0,
    call_token=0.9,
    result=0.0,
    result_token=0.95,
)
G25 = Rules(text=TEXT, signature=0.008, detail={"low": 64, "medium": 256, "high": 258})
G3 = replace(
    G25,
    image=1120,
    page=560,
    second=25,
    frame=66,
    signature=0.206,
    block=14.0,
    property=10.0,
    any=14.0,
    call=6.5,
    call_token=1.8,
    result=0.0,
    result_token=0.8,
    detail={"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240},
)
VERTEX_BLOCK = -9.0
"""Offering functions to Gemini 3 costs less there, and signatures nothing."""

GENERATIONS = (
    # The API's own page prints counts with a token for each turn and without; a recorded bill has none.
    (re.compile(r"gemini-1\."), replace(G20, cropped=False, turn=0.4)),
    (re.compile(r"gemini-(2\.0|pro$)"), G20),
    (re.compile(r"gemini-2\.5"), G25),
)
"""First match on the model's name; else the newest."""
EXPANDED = 5
"""How often a reference that contains itself is followed.  Set by one recorded schema, which still
bills 1.6 times its estimate."""
LETTER = (612, 792)
"""A page's shape where it is not read, in points."""
