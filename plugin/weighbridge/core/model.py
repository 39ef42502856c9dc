"""The nouns of a call: what was asked, what it weighs, what it may cost, how it ended.

Frozen, slotted, standard library only.  All amounts are integers: nano-dollars, tokens, milliseconds (UTC).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from weighbridge.core.outcome import CutOff as CutOff
from weighbridge.core.outcome import Ending as Ending
from weighbridge.core.outcome import NeverSent as NeverSent
from weighbridge.core.outcome import Reported as Reported
from weighbridge.core.outcome import Usage as Usage

Json = Any
Role = Literal["system", "user", "assistant", "tool"]
MediaKind = Literal["image", "audio", "video", "document"]
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sends the call, as established by the gate (never by the request's own words)."""

    org: str | None = None
    team: str | None = None
    user: str | None = None
    key: str | None = None
    """The virtual key's alias, or its id where it has none; never the secret."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the key, and those of the request beside them (reports and per-tag budgets only)."""


@dataclass(frozen=True, slots=True)
class RawCall:
    """A request as it came in: bytes and what the route said about them."""

    dialect: str
    body: bytes
    """The JSON body, already decompressed."""
    principal: Principal = Principal()
    provider: str = ""
    """Name of the configured provider the call goes to ("" until known)."""
    model: str | None = None
    """The model named by the path (gemini, pangu); None where the body names it."""
    stream: bool | None = None
    """Streaming asked for by the path (gemini); None where the body says it."""
    counts: bool = False
    """A body of the provider's count route, which may lack what a generating request must have."""
    path: str = ""
    """The path it was sent to; "" where there was none (library, files)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that change what the request means (`anthropic-beta`), lower case; no identity, no keys."""


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text of a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image, a sound, a film or a document, by value or by reference."""

    kind: MediaKind
    mime: str = ""
    data: str = ""
    """Base64 (or, for a text document, the text itself); "" where only a reference is given."""
    url: str = ""
    """Where the bytes are, when they are not here.  Never fetched."""
    detail: str = ""
    """The resolution asked for, in the provider's word ("low", "MEDIA_RESOLUTION_HIGH", ...)."""
    name: str = ""
    """File name, where given."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made earlier, replayed in the history."""

    name: str
    arguments: str
    """The arguments as JSON text, as sent (dialects that send an object: compact JSON of it)."""
    id: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered."""

    parts: tuple[Part, ...]
    name: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning replayed from an earlier turn."""

    text: str = ""
    signature: str = ""
    """Signature or encrypted reasoning, as sent; its length is what can be counted."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Prompt content that is not in the body: a file id, a stored conversation, a cache name."""

    what: str


Part = Text | Media | ToolCall | ToolResult | Thinking | Unseen


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.  System prompts, instructions and developer messages have role "system"."""

    role: Role
    parts: tuple[Part, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function offered to the model, or a tool that runs at the provider (`server` set)."""

    name: str
    description: str = ""
    schema: Mapping[str, Json] = field(default_factory=dict)
    """JSON schema of the arguments, as sent."""
    server: str = ""
    """The provider's type of a tool it runs itself ("web_search_20250305", "code_interpreter")."""
    strict: bool = False


@dataclass(frozen=True, slots=True)
class OutputSchema:
    """The JSON schema the answer must follow (structured output)."""

    name: str
    schema: Mapping[str, Json]
    description: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A parsed request, in the words all dialects share."""

    dialect: str
    model: str
    """As requested; reports name it so."""
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """"auto", "none", "required", or "=NAME" when one tool is forced."""
    schema: OutputSchema | None = None
    max_output: int | None = None
    """Most output tokens of one choice, reasoning included; None where the request is silent."""
    least_output: int = 1
    """The smallest `max_output` the provider accepts for this request (a clamp goes no lower)."""
    choices: int = 1
    """Answers generated and billed (`n`, `best_of`, `candidateCount`)."""
    stream: bool = False
    wants_usage: bool = True
    """False where a stream reports usage only when asked, and the client did not ask."""
    tier: str = ""
    """Service tier asked for ("flex", "priority", "batch"); "" for the standard one."""
    inputs: int = 1
    """Independent inputs in one request (embeddings, completions with several prompts)."""
    generates: bool = True
    """False where nothing is generated (embeddings)."""
    caches: Literal["", "5m", "1h"] = "1h"
    """The longest the prompt may be kept in a cache that is billed for writing; "" where the request
    cannot ask for it."""
    sounds: bool = False
    """The answer may hold sound, which costs more than text."""
    extra: Mapping[str, Json] = field(default_factory=dict)
    """What a family's counting rule needs beyond these ("thinking": "enabled", ...)."""


@dataclass(frozen=True, slots=True)
class Parts:
    """An estimate by where in the prompt the tokens lie; the sum is `Estimate.tokens`."""

    messages: int = 0
    system: int = 0
    tools: int = 0
    media: int = 0
    schema: int = 0
    frame: int = 0
    """Tokens nobody wrote: role markers, reply priming, hidden prompts of the provider."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Prompt tokens of a call before it is sent."""

    tokens: int
    """Best guess."""
    upper: int
    """What 99 % of real calls stay under, with `unseen` for what could not be seen.  Windows and holds use it."""
    method: str
    """How it was counted, e.g. "o200k_base exact", "claude fitted", with what could not be seen."""
    parts: Parts = Parts()
    whole: bool = True
    """False: counting stopped early because a limit was passed; the figures are what was seen."""
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices in nano-dollars per million tokens (so 2.50 USD per million is 2_500_000_000)."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    audio_output: int


@dataclass(frozen=True, slots=True)
class Price:
    """Rates by length of the prompt: the last step whose threshold is passed holds for all tokens."""

    steps: tuple[tuple[int, Rates], ...]
    """(prompt tokens that must be exceeded, rates), ascending; the first threshold is 0."""
    per_request: int = 0
    """Nano-dollars charged for each request beside the tokens."""
    per_search: int = 0
    """Nano-dollars charged for each search of the web the provider makes."""


@dataclass(frozen=True, slots=True)
class Model:
    """What the catalogue knows of a model."""

    name: str
    """The name looked up; `entry` says under which row it was found."""
    entry: str = ""
    family: str = "unknown"
    """Counting family: which rules of `core.counting` hold ("openai", "anthropic", "gemini", ...)."""
    tokenizer: str = "o200k_base"
    max_input: int | None = None
    max_output: int | None = None
    window: int | None = None
    """Input and output together, where the provider counts them together; else None."""
    prices: Mapping[str, Price] = field(default_factory=dict)
    """By service tier ("" standard, "flex", "priority", "batch"); empty: unpriced."""
