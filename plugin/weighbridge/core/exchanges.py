"""Recorded traffic: one exchange a row, as a call that can be weighed and a bill to weigh it against.

Recordings know more formats than there are dialects here; where the difference is only one of
names, the request is put into a dialect's words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weighbridge.core import hosts
from weighbridge.core.dialects import DIALECTS
from weighbridge.core.dialects.guess import guess
from weighbridge.core.errors import Refused
from weighbridge.core.model import Call, Json, Media, Message, Part, RawCall, Thinking, ToolResult, Unseen
from weighbridge.core.recordings import RECORDED

Row = Mapping[str, Any]
UNCOUNTABLE = ("file_reference", "server_tools", "context_management")
"""Features of requests whose bill holds what is not in them."""
KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    ("documents", frozenset({"document_pdf", "document_other"})),
    ("audio and video", frozenset({"audio", "video"})),
    ("images", frozenset({"image"})),
    ("hidden reasoning", frozenset({"encrypted_reasoning"})),
    ("tools", frozenset({"tools"})),
    ("structured output", frozenset({"structured_output"})),
    ("thinking", frozenset({"thinking"})),
)
"""(kind of content, features); the first that fits is a row's kind, and one that has none is text."""
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request and what it was billed."""

    id: str
    raw: RawCall
    where: str
    """The provider, by host or model; "" where nobody can tell."""
    billed: int
    """Prompt tokens billed, cached ones included; 0 where the recording does not say."""
    source: str
    """What it was recorded with: rows of one source are alike."""
    features: frozenset[str] | None
    """What the recording says the request holds; None where it says nothing."""
    doubt: str
    """Why the bill is not to be believed, or ""."""

    def left_out(self, call: Call) -> str:
        """Why no estimate can be held against the bill, or "" where one can."""
        if self.doubt or self.billed < 1:
            return self.doubt or "no bill"
        held = self.held(call)
        return next((word.replace("_", " ") for word in UNCOUNTABLE if word in held), "")

    def kind(self, call: Call) -> str:
        """The kind of content that decides how hard the request is to count."""
        held = self.held(call)
        return next((kind for kind, words in KINDS if words & held), TEXT)

    def held(self, call: Call) -> frozenset[str]:
        """The features, from the request itself where the recording has none."""
        return features(call) if self.features is None else self.features


def read(row: Json) -> Exchange:
    """A row of recorded traffic.  Raises Refused("malformed") where it cannot be one."""
    if not isinstance(row, dict) or not isinstance(row.get("request"), dict):
        raise Refused("malformed", "a row must be an object with a 'request' object")
    model = _text(row, "model")
    dialect, body = _in_our_words(row, model)
    host = _text(row, "host")
    where = hosts.provider_at(host) if host else hosts.provider_for(model or str(body.get("model") or ""))
    data = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    stream = bool(row.get("stream"))
    return Exchange(
        id=str(row.get("id", "")),
        raw=RawCall(dialect, data, provider=where, model=model or None, stream=stream, counts=True),
        where=where,
        billed=_count(row.get("input_tokens")),
        source=_text(row, "source").partition("#")[0],
        features=frozenset(map(str, row["features"])) if isinstance(row.get("features"), list) else None,
        doubt="flagged" if row.get("flags") else "synthetic" if row.get("synthetic") else "",
    )


def _in_our_words(row: Row, model: str) -> tuple[str, dict[str, Any]]:
    """(dialect, body) of a row."""
    name, body = _text(row, "dialect"), row["request"]
    if name in RECORDED:
        name, body = RECORDED[name](body)
    name = name or guess({"model": model, **body}) or ""
    if name not in DIALECTS:
        known = ", ".join((*DIALECTS, *RECORDED))
        raise Refused("malformed", f"the dialect {name!r} is not read; known are {known}")
    return name, body


def _text(row: Row, key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _count(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def features(call: Call) -> frozenset[str]:
    """What a request holds, in the words recordings use."""
    found = {word for message in call.messages for part in message.parts for word in _features_of(part, message)}
    if any(tool.server for tool in call.tools):
        found.add("server_tools")
    if call.extra.get("context_edits"):
        found.add("context_management")
    found |= {"tools"} if call.tools else set()
    found |= {"structured_output"} if call.schema is not None else set()
    return frozenset(found | ({"thinking"} if call.extra.get("thinking") in ("enabled", "adaptive") else set()))


def _features_of(part: Part, message: Message) -> frozenset[str]:
    match part:
        case Unseen():
            return frozenset({"file_reference"})
        case Media(kind, mime, data):
            document = "document_pdf" if mime == "application/pdf" else "document_other"
            word = document if kind == "document" else kind
            return frozenset({word} if data else {word, "file_reference"})
        case Thinking():
            return frozenset({"thinking", "encrypted_reasoning"} if part.signature else {"thinking"})
        case ToolResult(parts):
            return frozenset(word for inner in parts for word in _features_of(inner, message))
    return frozenset()
