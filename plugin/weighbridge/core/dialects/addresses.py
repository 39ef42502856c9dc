"""Requests on their way to a provider's own address, where `routes` has those of a gateway.

Providers put the same wire formats under base paths of their own (`/openai/v1/chat/completions`,
`/api/paas/v4/chat/completions`), and have routes beside them that cost money, or do not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from weighbridge.core.dialects.routes import Route, route
from weighbridge.core.errors import Refused

SPOKEN: Final = (
    (re.compile(r".*/v1/(messages|complete)\b|.*:(rawPredict|streamRawPredict)$|/model/"), "anthropic-messages"),
    (re.compile(r".*/(v1beta|v1alpha)/|.*/(models|tunedModels)/[^/]+:"), "gemini-generate"),
)
"""Whose words a route that is no known one is refused in; OpenAI's elsewhere."""
STANDING: Final = re.compile(r"/(v1|v1beta|v1alpha)/")
TAILS: Final = (
    (re.compile(r"/(chat/completions|responses|completions|embeddings)$"), "/v1"),
    (re.compile(r"/(models|tunedModels)/[^/]+:(generateContent|streamGenerateContent|countTokens)$"), "/v1beta"),
)
"""(end of a path that is enough to know its format, the base that belongs before it)"""
READING: Final = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))
FREE: Final = re.compile(
    r".*/(files|uploads|vector_stores|moderations|conversations|assistants|skills|fileSearchStores)([/:].*)?"
    r"|.*/threads(/(?!runs$)[^/]+(/messages(/.*)?)?)?"
    r"|.*/chat/completions/[^/]+"
    r"|.*[/:](cancel|pause|resume)"
)
"""What may be written without a model being run."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a request's path says, whatever base path stands before it."""

    route: Route
    path: str
    """The path as the gateway would have it."""


def at_provider(method: str, path: str) -> Address | None:
    """The route of a request to a provider's own address; None where no format is known."""
    starts = [0, *(found.start() for found in STANDING.finditer(path))]
    paths = [path[start:] for start in dict.fromkeys(starts)]
    paths += [base + end[0] for tail, base in TAILS if (end := tail.search(path))]
    return next((Address(found, short) for short in paths if (found := route(method, short))), None)


def runs_no_model(method: str, path: str) -> bool:
    """Whether a request on no route of ours certainly costs no tokens: it reads, or keeps files and lists."""
    return method in READING or FREE.fullmatch(path) is not None


def spoken(path: str) -> str:
    """The dialect to refuse a route in."""
    return next((dialect for pattern, dialect in SPOKEN if pattern.match(path)), "openai-chat")


def unmetered(method: str, path: str) -> Refused:
    """The refusal of a route that cannot be metered.  `method` is empty where nobody knows it."""
    fix = "Set unmetered_routes: forward to let it pass unmetered."
    return Refused("unmetered", f"{method} {path[:80]} cannot be metered. {fix}".lstrip())
