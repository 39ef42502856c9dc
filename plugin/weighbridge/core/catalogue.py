"""What is known of a model by its name: window, most output, prices, counting family, tokenizer.

Rows come from litellm's model table, handed in.  A *price* is taken only from a row of the same
model at the same seller (a dated or "latest" name of it included): a guess that is too cheap lets
money through.  Window and tokenizer may be guessed from the nearest relative.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from weighbridge.core.model import NANO, Json, Model, Price, Rates

LONGEST = 256
"""Characters of a name that is looked up; no provider has longer ones."""
REMEMBERED = 4096
"""Names whose lookup is kept; names come from clients, so they are bounded."""

FAMILIES = (
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini|^text-embedding-0|^text-multilingual-embedding"), "gemini"),
    (re.compile(r"gpt-oss"), "other"),
    (re.compile(r"^(openai[.-]|ft:)?(gpt-?\d|chatgpt|o[134](-|$)|codex|computer-use)"), "openai"),
    (re.compile(r"^(text-embedding-(ada|3)|text-davinci|davinci|babbage)"), "openai"),
)
"""First match on the last part of the name, lower case; else "other"."""

CL100K = r"^(ft:)?(text-embedding-(ada|3)|gpt-?35|gpt-3\.5|gpt-4($|-(?!o|\.))|(davinci|babbage)-002)"
TOKENIZERS = (
    (re.compile(CL100K), "cl100k_base"),
    (re.compile(r"^text-davinci-00[23]"), "p50k_base"),
    (re.compile(r"claude"), "claude-2"),
)
"""First match, else o200k_base."""

SAME_SELLER = {
    *("openai", "azure", "azure_ai", "anthropic", "gemini", "google", "vertex_ai", "publishers", "models"),
    *("bedrock", "converse", "invoke", "openrouter"),
}
"""Prefixes that can be left out without changing who is paid (OpenRouter passes prices through)."""
MAKERS = ("gemini", "xai", "mistral", "deepseek", "cohere", "zai", "moonshot")
"""Prefixes under which a bare name is looked up: who makes the model sells it under that row."""

DATE = r"-latest|-\d{8}|-\d{4}-\d\d-\d\d|@[\w-]+|-preview(-\d\d-\d\d)?|-exp|-00[1-9]|-0|-v\d+(:\d+)?|:\d+"
DATED = re.compile(f"({DATE})$")
"""What dates a name without making it another model."""
RENAMED = {"gpt-35-turbo": "gpt-3.5-turbo", "gpt-35-turbo-16k": "gpt-3.5-turbo-16k"}
"""Azure's names for OpenAI's models."""

TIERS = {"": "", "flex": "_flex", "priority": "_priority", "batch": "_batches"}
"""Service tier -> suffix of the row's fields."""
STEP = re.compile(r"^input_cost_per_token_above_(\d+)k_tokens")
FIELDS = {
    "input": ("input_cost_per_token{}", "input"),
    "output": ("output_cost_per_token{}", "output"),
    "cache_read": ("cache_read_input_token_cost{}", "input"),
    "cache_write": ("cache_creation_input_token_cost{}", "input"),
    "cache_write_1h": ("cache_creation_input_token_cost_above_1hr{}", "cache_write"),
    "reasoning": ("output_cost_per_reasoning_token{}", "output"),
    "audio_input": ("input_cost_per_audio_token{}", "input"),
    "audio_output": ("output_cost_per_audio_token{}", "output"),
}
"""Rate -> (the row's field, the rate that holds where the row is silent)."""

TOTAL_WINDOWS = frozenset({400_000, 1_050_000})
"""`max_input_tokens` of gpt-5 rows that give the whole window instead of the input's share."""


class Catalogue:
    """The models, by name.  `overrides` are laid over the rows (settings' `models:`): max_input_tokens,
    max_output_tokens, input_usd_per_mtok, output_usd_per_mtok, cache_read_usd_per_mtok,
    cache_write_usd_per_mtok, tokenizer, family.  Threads may share it."""

    def __init__(self, rows: Mapping[str, Json], overrides: Mapping[str, Mapping[str, Any]] = {}) -> None:
        self._rows = rows
        self._overrides = overrides
        self._undated = {undated(name): name for name in sorted(rows) if undated(name) not in rows}
        self._known: dict[tuple[str, str], Model] = {}

    def model(self, name: str, provider: str = "") -> Model:
        """What is known of a model asked for under `name` at a configured provider.  Never raises:
        of an unknown model the family is guessed, the rest is empty."""
        if len(name) > LONGEST:
            return Model(name, family=family(name[-LONGEST:]))
        known = self._known.get((name, provider))
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[name, provider] = self._look_up(name, provider)
        return known

    def _look_up(self, name: str, provider: str) -> Model:
        entry, priced = self._find(name, provider)
        row = self._rows.get(entry, {})
        model = Model(
            name=name,
            entry=entry,
            family=family(name) if family(name) != "other" or not entry else family(entry),
            tokenizer=tokenizer(name),
            max_input=_size(row, "max_input_tokens"),
            max_output=_size(row, "max_output_tokens", "max_tokens"),
            prices=prices(row) if priced else {},
        )
        over = self._overrides.get(name) or self._overrides.get(bare(name))
        model = model if over is None else laid_over(model, over)
        return replace(model, window=model.max_input if _together(model) else None)

    def _find(self, name: str, provider: str) -> tuple[str, bool]:
        """(row's name or "", whether its price holds)."""
        for candidate, priced in self._candidates(name, provider):
            if candidate in self._rows:
                return candidate, priced
        return self._relative(bare(name)), False

    def _candidates(self, name: str, provider: str) -> Iterator[tuple[str, bool]]:
        """Names to try, the surest first, each with whether the price of its row holds."""
        for short, same in _shortened(name):
            for exact in _spellings(short):
                names = [exact] if exact not in self._undated else [exact, self._undated[exact]]
                for candidate in names:
                    if provider:
                        yield f"{provider}/{candidate}", True
                    yield candidate, same
                    yield from ((f"{maker}/{candidate}", same and not provider) for maker in MAKERS)

    def _relative(self, name: str) -> str:
        """The longest row name this one begins with, at a boundary; "" where there is none."""
        cuts = [m.start() for m in re.finditer(r"[-:@.]", name)]
        return next((name[:cut] for cut in reversed(cuts) if name[:cut] in self._rows), "")


def bare(name: str) -> str:
    """The last part of a name: without provider prefixes, Bedrock's region, and fine-tune ids."""
    short = name.rsplit("/", 1)[-1]
    if short.startswith("ft:"):
        return ":".join(short.split(":")[:2])
    return re.sub(r"^((us|eu|apac|jp|au|ca|global)\.)?(anthropic|amazon|meta|mistral|cohere|google)\.", "", short)


def undated(name: str) -> str:
    """A name without its date, "latest" or version suffix."""
    return DATED.sub("", name)


def family(name: str) -> str:
    """Which counting rules hold for a name."""
    short = bare(name).lower()
    return next((found for pattern, found in FAMILIES if pattern.search(short)), "other")


def tokenizer(name: str) -> str:
    """The vocabulary of a name: the model's own where it is public, else the one estimates start from."""
    short = bare(name).lower()
    return next((found for pattern, found in TOKENIZERS if pattern.search(short)), "o200k_base")


def _shortened(name: str) -> Iterator[tuple[str, bool]]:
    """The name, then without each leading prefix, each with whether the same seller is paid."""
    same = True
    while True:
        yield name, same
        prefix, slash, rest = name.partition("/")
        if not slash:
            break
        same = same and prefix in SAME_SELLER
        name = rest
    if bare(name) != name:
        yield bare(name), same and name.startswith("ft:") and bare(name).startswith("ft:")


def _spellings(name: str) -> Iterator[str]:
    """A name as it is, and without what dates it."""
    yield name
    if name in RENAMED:
        yield RENAMED[name]
    while (shorter := undated(name)) != name and shorter:
        yield shorter
        name = shorter


def _together(model: Model) -> bool:
    """Whether input and output share `max_input`: Claude, OpenAI before gpt-5, and open models do."""
    if model.family == "gemini":
        return False
    generation = re.match(r"(?:openai[.-])?gpt-(\d+)", bare(model.name))
    if model.family == "openai" and generation and 5 <= int(generation[1]) < 20:
        return model.max_input in TOTAL_WINDOWS
    return True


def _size(row: Mapping[str, Any], *fields: str) -> int | None:
    for field in fields:
        value = row.get(field)
        if isinstance(value, (int, float)) and value > 0:
            return int(value)
    return None


def laid_over(model: Model, over: Mapping[str, Any]) -> Model:
    """A model with a user's settings over it.  Their price stands alone, for every tier and length."""
    found = replace(
        model,
        entry=model.entry or model.name,
        max_input=over.get("max_input_tokens") or model.max_input,
        max_output=over.get("max_output_tokens") or model.max_output,
        tokenizer=over.get("tokenizer") or model.tokenizer,
        family=over.get("family") or model.family,
    )
    per_token = {
        "input_cost_per_token": over.get("input_usd_per_mtok"),
        "output_cost_per_token": over.get("output_usd_per_mtok"),
        "cache_read_input_token_cost": over.get("cache_read_usd_per_mtok"),
        "cache_creation_input_token_cost": over.get("cache_write_usd_per_mtok"),
    }
    row = {field: Decimal(repr(usd)) / 1_000_000 for field, usd in per_token.items() if usd is not None}
    return replace(found, prices=prices(row)) if row else found


def prices(row: Mapping[str, Any]) -> Mapping[str, Price]:
    """A row's prices by service tier; empty where it does not price tokens."""
    if _rate(row, "input_cost_per_token") is None or _rate(row, "output_cost_per_token") is None:
        return {}
    steps = sorted({0, *(int(found[1]) * 1000 for field in row if (found := STEP.match(field)))})
    per_request = int(((_rate(row, "input_cost_per_request") or 0) + 999_999) // 1_000_000)
    search = _search(row)
    table: dict[str, Price] = {}
    for name, suffix in TIERS.items():
        if not suffix or f"input_cost_per_token{suffix}" in row:
            table[name] = Price(tuple((step, _rates(row, step, suffix)) for step in steps), per_request, search)
    return table


def _search(row: Mapping[str, Any]) -> int:
    """Nano-dollars of one search of the web, by the usual size of its context."""
    fees = row.get("search_context_cost_per_query")
    return (_rate(fees, "search_context_size_medium") or 0) // 1_000_000 if isinstance(fees, Mapping) else 0


def _rates(row: Mapping[str, Any], step: int, tier: str) -> Rates:
    """The rates of a step and tier.  Where the row is silent they follow the reference's, scaled as
    its input (or output) rate is."""
    suffix = (f"_above_{step // 1000}k_tokens" if step else "") + tier
    known = _reference(row, step, tier)
    rates: dict[str, int] = {}
    for name, (field, fallback) in FIELDS.items():
        stated = _rate(row, field.format(suffix))
        side = "output" if "output" in field else "input"
        if stated is not None:
            rates[name] = stated
        elif known is None:
            rates[name] = rates[fallback]
        else:
            rates[name] = known[name] if name == side else _scaled(known[name], rates[side], known[side])
    return Rates(**rates)


def _reference(row: Mapping[str, Any], step: int, tier: str) -> Mapping[str, int] | None:
    """What a step's or tier's rates follow: the standard ones; None for these themselves."""
    if not step and not tier:
        return None
    standard = asdict(_rates(row, 0, ""))
    if not step or not tier:
        return standard
    longer, at_tier = asdict(_rates(row, step, "")), asdict(_rates(row, 0, tier))
    return {name: _scaled(longer[name], at_tier[name], standard[name]) for name in standard}


def _scaled(rate: int, by: int, of: int) -> int:
    return -(-rate * by // of) if of else max(rate, by)


def _rate(row: Mapping[str, Any], field: str) -> int | None:
    """USD per token as nano-dollars per million tokens, exactly, rounded up; None where not stated."""
    value = row.get(field)
    if value is None or isinstance(value, (str, bool)):
        return None
    exact = (value if isinstance(value, Decimal) else Decimal(repr(value))) * NANO * 1_000_000
    if not exact.is_finite() or exact < 0:
        return None
    return int(exact.to_integral_value(ROUND_CEILING))
