"""The scale of one call: what has been counted so far, where it lies, and what could not be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from weighbridge.core.counting.text import SLICE, Blind, Reader, Tokenizer, Weights, gauge, slices
from weighbridge.core.model import Parts

Place = Literal["messages", "system", "tools", "media", "schema", "frame"]
PLACES: tuple[Place, ...] = ("messages", "system", "tools", "media", "schema", "frame")
Kind = Literal["text", "tools", "structured", "thinking", "hidden", "image", "document", "av", "server"]


class LimitPassed(Exception):
    """The count so far is over the limit: nothing more needs to be counted."""


class Scale:
    """Collects a call's tokens.  Adding raises LimitPassed once the sum exceeds `limit`."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        limit: int | None,
        weights: Weights | None = None,
        reader: Reader | None = None,
        host: str = "",
    ) -> None:
        self.reader = reader or Blind()
        self.host = host
        """Name of the provider the call goes to, where it is known."""
        self._tokenizer = tokenizer
        self._weights = weights
        self.weigh = gauge(tokenizer, weights)
        """Tokens of a text of at most a slice's length, without adding them."""
        self._limit = float("inf") if limit is None else limit
        self._total = 0.0
        self._places: dict[Place, float] = dict.fromkeys(PLACES, 0.0)
        self.kinds: set[Kind] = set()
        """What the call holds beside text; decides which bound is kept."""
        self.unseen: list[tuple[str, int]] = []
        """What could not be seen, each with the most tokens it is taken to hold."""

    def add(self, place: Place, tokens: float) -> None:
        """Put tokens on the scale (fractions of them too, from fitted rules)."""
        self._places[place] += tokens
        self._total += tokens
        if self._total > self._limit:
            raise LimitPassed

    def text(self, place: Place, text: str, factor: float = 1.0) -> None:
        """Count a text, slice by slice."""
        if not text:
            return
        if len(text) <= SLICE:
            return self.add(place, factor * self.weigh(text))
        last, weight = "", 0.0
        for piece in slices(text):
            # A filler of millions of blanks would cost seconds.
            if piece != last:
                last, weight = piece, factor * self.weigh(piece)
            self.add(place, weight)

    def written(self, place: Place, text: str, form: Callable[[str], str]) -> None:
        """Count a text as `form` writes it into the prompt."""
        if len(text) > SLICE:
            self.text(place, form(text))
        else:
            self.add(place, gauge(self._tokenizer, self._weights, form)(text))

    def texts(self, place: Place, texts: Iterable[str]) -> None:
        """Count many texts."""
        tokens, room = 0.0, self._limit - self._total
        for text in texts:
            if len(text) <= SLICE:
                tokens += self.weigh(text)
            else:
                self.text(place, text)
            if tokens > room:
                break
        self.add(place, tokens)

    def hide(self, what: str, bound: int) -> None:
        """Remember content that is not in the request, and the most it is taken to weigh."""
        self.unseen.append((what, bound))

    def parts(self) -> Parts:
        """The sum by place, in whole tokens that add up to the rounded sum; none is negative."""
        whole = {place: max(0, round(tokens)) for place, tokens in self._places.items()}
        over = sum(whole.values()) - max(0, round(self._total))
        for place in sorted(PLACES, key=lambda p: whole[p], reverse=True):
            taken = min(over, whole[place])
            whole[place] -= taken
            over -= taken
        return Parts(**whole)
