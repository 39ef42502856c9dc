"""Which path speaks which wire format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

Kind = Literal["generate", "count", "models"]
MEANT = ("anthropic-version", "anthropic-beta")
"""Request headers that change what a body means."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a request's method and path say about it."""

    dialect: str
    kind: Kind
    model: str | None = None
    """The model the path names (gemini, pangu); None where the body names it."""
    stream: bool | None = None
    """Whether the path asks for a stream (gemini); None where the body says it."""


NAMED = r"/(?:v1|v1beta|v1alpha)/(?P<model>(?:models|tunedModels)/.+)"
DEPLOYED = r"/v1/[^/]+/deployments/(?P<model>[^/]+)"
PLACE = re.compile(r"\{(\w+)(?::(\w+))?\}")
"""A part of a path that may be anything, as frameworks write it."""
WRITTEN = re.compile(rf"/(?:[^{{}}<>]|{PLACE.pattern})*")
RouteOf = Callable[[str, str], "Route | None"]
Row = tuple[str, re.Pattern[str], str, Kind, bool | None]
ROUTES: tuple[Row, ...] = (
    ("POST", re.compile(r"/v1/chat/completions"), "openai-chat", "generate", None),
    ("POST", re.compile(r"/v1/responses"), "openai-responses", "generate", None),
    ("POST", re.compile(r"/v1/responses/input_tokens"), "openai-responses", "count", None),
    ("POST", re.compile(r"/v1/completions"), "openai-completions", "generate", None),
    ("POST", re.compile(r"/v1/embeddings"), "openai-embeddings", "generate", None),
    ("POST", re.compile(r"/v1/messages"), "anthropic-messages", "generate", None),
    ("POST", re.compile(r"/v1/messages/count_tokens"), "anthropic-messages", "count", None),
    ("POST", re.compile(NAMED + ":generateContent"), "gemini-generate", "generate", False),
    ("POST", re.compile(NAMED + ":streamGenerateContent"), "gemini-generate", "generate", True),
    ("POST", re.compile(NAMED + ":countTokens"), "gemini-generate", "count", False),
    ("POST", re.compile(DEPLOYED + "/chat/completions"), "pangu-chat", "generate", None),
    ("POST", re.compile(DEPLOYED + "/caltokens"), "pangu-chat", "count", None),
    ("GET", re.compile(r"/v1/models(?:/.+)?"), "openai-chat", "models", None),
    ("GET", re.compile(r"/(?:v1beta|v1alpha)/models(?:/[^:]+)?"), "gemini-generate", "models", None),
)
"""(method, path, dialect, kind, stream); the whole path must match, and the first row that does holds."""


def route(method: str, path: str, query: str = "") -> Route | None:
    """The route of a request; None where no format is known.  `query` changes none of them yet:
    Gemini's `alt=sse` is told by the answer's content type."""
    for verb, pattern, dialect, kind, stream in ROUTES:
        found = pattern.fullmatch(path) if verb == method else None
        if found is not None:
            return Route(dialect, kind, _model(found.groupdict().get("model")), stream)
    return None


def laid_over(own: Mapping[str, str]) -> RouteOf:
    """Routes of one's own before those of the table: see `core.dialects.added`."""
    rows = [(re.compile(_pattern(path)), dialect) for path, dialect in own.items()]

    def find(method: str, path: str) -> Route | None:
        for pattern, dialect in rows if method == "POST" else ():
            found = pattern.fullmatch(path)
            if found is not None:
                return Route(dialect, "generate", _model(found.groupdict().get("model")))
        return route(method, path)

    return find


def _pattern(path: str) -> str:
    """A path as frameworks have them, as a pattern.  Raises ValueError for one that nothing would ever match."""
    if not WRITTEN.fullmatch(path) or [name for name, _ in PLACE.findall(path)].count("model") > 1:
        raise ValueError(
            f"the route {path!r} is none: begin with a slash, and write {{model}}, {{name}} or {{name:path}}"
        )
    places = iter(PLACE.split(path))
    pattern = re.escape(next(places))
    for name, kind, literal in zip(places, places, places, strict=True):
        segment = ".+" if kind == "path" else "[^/]+"
        pattern += (f"(?P<model>{segment})" if name == "model" else segment) + re.escape(literal)
    return pattern


def renamed(path: str, old: str, new: str) -> str:
    """A path that names another model."""
    named = re.escape(old)
    usual = re.sub(f"(?<=/deployments)/{named}(?=/)|/{named}(?=:)", lambda _: f"/{new}", path, count=1)
    # A route of one's own may have it anywhere.
    return usual if usual != path else re.sub(f"/{named}(?=/|$)", lambda _: f"/{new}", path, count=1)


def _model(name: str | None) -> str | None:
    """SDKs take "models/NAME" for a name, and may encode its slash."""
    return None if name is None else unquote(name).removeprefix("models/").removeprefix("models/")
