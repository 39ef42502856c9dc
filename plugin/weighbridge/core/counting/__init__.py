"""What a prompt weighs before it is sent: `estimate(call, model, tokenizer, limit)`.

The family of the *real* model decides the rules, whatever the dialect: Claude asked for in OpenAI's
words counts as Claude.  A family is one module with `count(call, model, scale)`; its constants are
in `data/`, dated, with their source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import ceil

from weighbridge.core.counting import anthropic, bare, gemini, openai, other, template
from weighbridge.core.counting.calibration import Line
from weighbridge.core.counting.data.bounds import BOUNDS, ORDER, WIDEST, Bound
from weighbridge.core.counting.scale import Kind, LimitPassed, Scale
from weighbridge.core.counting.text import Reader, Tokenizer, Weights
from weighbridge.core.model import Call, Estimate, Model

__all__ = ["Reader", "Tokenizer", "estimate"]

OWN = Bound(1.0, 16)
"""Text in a vocabulary of the model's own: a server may write a date, or a line, that is not known here."""
MOST_NAMED = 4
"""Unseen things named in `Estimate.method`; the rest is a number."""


@dataclass(frozen=True, slots=True)
class Family:
    """How the models of one family are counted."""

    count: Callable[[Call, Model, Scale], None]
    weights: Callable[[Model], Weights | None]
    method: str


FAMILIES: Mapping[str, Family] = {
    "openai": Family(openai.count, lambda model: None, "{vocabulary}"),
    "anthropic": Family(anthropic.count, anthropic.weights, "claude from {vocabulary}"),
    "gemini": Family(gemini.count, gemini.weights, "gemini from {vocabulary}"),
}
OTHER = Family(other.count, lambda model: other.WEIGHTS, "{vocabulary} scaled")


def estimate(
    call: Call,
    model: Model,
    tokenizer: Tokenizer,
    limit: int | None = None,
    line: Line | None = None,
    *,
    reader: Reader | None = None,
    host: str = "",
) -> Estimate:
    """Prompt tokens of a call: best guess, upper bound, how it was counted.

    With a `limit` (tokens) counting stops as soon as the count passes it; `Estimate.whole` is then
    False and the figures are what was seen so far.  A `line` of the user's calibration is laid over
    the result.  `reader` reads documents; without one their text is guessed.  `host` names the
    provider the call goes to: some add to the prompt.  Nothing is fetched.  Raises nothing of its own.
    """
    family = FAMILIES.get(model.family, OTHER)
    plain = bare.fits(call)
    within = limit if line is None else line.before(limit)
    if own(model) and not plain and isinstance(tokenizer, template.ChatTokenizer):
        with suppress(template.Unwritten):
            return _written(call, model, tokenizer, limit)
    weights = None if plain or own(model) else family.weights(model)
    scale = Scale(tokenizer, within, weights, reader, host)
    whole = True
    try:
        if plain:
            bare.count(call, scale)
        else:
            family.count(call, model, scale)
    except LimitPassed:
        whole = False
    parts = scale.parts()
    tokens = parts.messages + parts.system + parts.tools + parts.media + parts.schema + parts.frame
    method = _method(family, model, tokenizer, scale, whole)
    bound = _bound(call, model, scale)
    upper = _upper(tokens, bound, scale, model)
    counted = Estimate(tokens, upper, method, parts, whole, upper - _seen(tokens, bound))
    return counted if line is None else line.over(counted, counted.unseen)


def own(model: Model) -> bool:
    """Whether the vocabulary is the model's own, given as a path, and not one to estimate from."""
    return "/" in model.tokenizer or "\\" in model.tokenizer


def _written(call: Call, model: Model, tokenizer: template.ChatTokenizer, limit: int | None) -> Estimate:
    """A prompt written out by the model's own template.  Raises template.Unwritten."""
    scale = Scale(tokenizer, limit)
    whole = True
    try:
        template.count(call, tokenizer, scale)
    except LimitPassed:
        whole = False
    parts = scale.parts()
    tokens = parts.messages + parts.media
    bound = OWN if scale.kinds <= {"tools"} else BOUNDS["other"]["*"]
    method = _noted(f"{tokenizer.name} chat template", scale, whole)
    upper = _upper(tokens, bound, scale, model)
    return Estimate(tokens, upper, method, parts, whole, upper - _seen(tokens, bound))


def kind_of(scale: Scale) -> Kind:
    """The class of a call, for its bound."""
    return next((kind for kind in ORDER if kind in scale.kinds), "text")


def _bound(call: Call, model: Model, scale: Scale) -> Bound:
    if own(model) and kind_of(scale) == "text":
        return OWN
    bounds = BOUNDS.get(rules_of(call, model, scale.host), {})
    return bounds.get(kind_of(scale)) or bounds.get("*", WIDEST)


def rules_of(call: Call, model: Model, host: str) -> str:
    """The counting rules of a call, for its bound."""
    if bare.fits(call):
        return "bare" if model.family == "openai" else "bare-scaled"
    if model.family == "openai" and call.dialect == "openai-responses":
        return "openai-responses"
    if model.family in FAMILIES:
        return model.family
    return "other" if other.known(model, host) else "unknown"


def _seen(tokens: int, bound: Bound) -> int:
    return ceil(tokens * bound.factor) + bound.more


def _upper(tokens: int, bound: Bound, scale: Scale, model: Model) -> int:
    seen = _seen(tokens, bound)
    unseen = sum(most for _, most in scale.unseen)
    if model.max_input is None:
        return seen + unseen
    # What cannot be seen never refuses a call alone: the provider would say it better.
    return max(seen, min(seen + unseen, model.max_input))


def _method(family: Family, model: Model, tokenizer: Tokenizer, scale: Scale, whole: bool) -> str:
    words = [family.method.format(vocabulary=tokenizer.name)]
    if model.family == "openai":
        words.append("exact" if kind_of(scale) == "text" and not scale.unseen else "with rules")
    return _noted(" ".join(words), scale, whole)


def _noted(words: str, scale: Scale, whole: bool) -> str:
    """A method with what was left out: behind the limit, and what could not be seen."""
    if not whole:
        words += " up to the limit"
    unseen = [f"{_printable(what)} (up to {most})" for what, most in scale.unseen[:MOST_NAMED]]
    if len(scale.unseen) > MOST_NAMED:
        rest = sum(most for _, most in scale.unseen[MOST_NAMED:])
        unseen.append(f"{len(scale.unseen) - MOST_NAMED} more (up to {rest})")
    return words + (f"; not seen: {', '.join(unseen)}" if unseen else "")


def _printable(what: str) -> str:
    """The method goes into a header, and names come from the client."""
    return re.sub(r"[^\w .:/-]", "?", what, flags=re.ASCII)[:60]
