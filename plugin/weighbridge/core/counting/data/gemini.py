"""How Gemini bills, by generation.

Sources: the token and media resolution pages of the developer documentation (September 2026);
frames, signatures, functions, calls and 2.0's crops from 261 recorded bills (November 2026): shapes
read off single bills, then the numbers fitted on the mean relative error.  The same fit on four fifths
of the source files, from round numbers, missed calls with tools of the last fifth by 2.5 % in the
median (95 % of them by less than 11 %), with signatures by 2.0 % (11 %), plain text by 0.
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
    result_page: int = 258
    """... and one that a tool gave back (Gemini API only)."""
    second: int = 32
    """A second of sound."""
    frame: int = 258
    """A second of film without its sound."""
    signature: float = 0.0
    """Per character of a replayed thought signature, since the last user turn (Gemini API only)."""
    joined: bool = False
    """What the user says right behind the results of tools belongs to them (else begins a new turn)."""
    turn: float = 1.0
    """Each message, the system's too (Gemini API only; Vertex AI and resellers bill none)."""
    block: float = 4.0
    """Offering functions at all."""
    vertex: float = 0.0
    """... less what Vertex AI leaves away."""
    function: float = 12.0
    name: float = 2.3
    """A token of a function's name."""
    strings: float = 1.04
    """A token of its other names and descriptions."""
    parameters: float = 3.0
    """A function that has properties, ..."""
    property: float = 8.0
    """... each of them, beside its name."""
    container: float = 15.0
    """Each list and each object among them, beside its properties."""
    call: float = 16.4
    call_token: float = 1.22
    unsigned: float = 0.0
    """... and each whose signature is not in the prompt (Gemini API only)."""
    json_schemas: bool = True
    """Parameters given as a JSON schema are billed like those in Gemini's own."""
    result: float = 0.0
    result_token: float = 0.8
    detail: dict[str, int] = field(default_factory=dict)
    """Media resolution -> image budget."""


TEXT = Weights(token=1.0, grouped=1.0, joined=0.75)
G20 = Rules(
    text=TEXT,
    cropped=True,
    second=25,
    turn=0.0,
    block=0.0,
    function=4.2,
    name=1.0,
    strings=1.0,
    json_schemas=False,
    parameters=0.0,
    property=0.0,
    container=0.0,
    call=1.0,
    call_token=0.3,
    result=0.0,
    result_token=1.05,
)
G25 = Rules(text=TEXT, signature=0.004, frame=263, detail={"low": 64, "medium": 256, "high": 258})
G3 = replace(
    G25,
    image=1120,
    page=560,
    result_page=1120,
    second=25,
    frame=66,
    signature=0.204,
    unsigned=13.0,
    block=0.0,
    vertex=-13.0,
    function=12.5,
    name=1.55,
    strings=1.0,
    parameters=7.0,
    property=16.0,
    container=5.0,
    call=1.75,
    call_token=2.2,
    result=0.0,
    result_token=0.8,
    detail={"low": 280, "medium": 560, "high": 1120, "ultra_high": 2240},
)
API = re.compile(r"\b(gemini|google)(?![-\w])")
"""The Gemini API among configured providers and catalogue rows."""

GENERATIONS = (
    # The API's own page prints counts with a token for each turn; the one recorded bill has none.
    (re.compile(r"gemini-1\."), replace(G20, cropped=False, turn=1.0)),
    (re.compile(r"gemini-(2\.0|pro$)"), G20),
    (re.compile(r"gemini-2\.5"), G25),
    (re.compile(r"gemini-3\.[6-9]"), replace(G3, joined=True)),  # 2 calls
)
"""First match on the model's name; else the newest."""
EXPANDED = 7
"""How often a reference that contains itself is followed; set by one recorded schema."""
SIGNED = 100
"""Characters of a real signature; shorter ones stand in for one.  A model that cannot think and yet is
sent one is an old name for a newer model."""
LETTER = (612, 792)
"""A page's shape where it is not read, in points."""
