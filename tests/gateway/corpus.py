"""Recorded exchanges, as requests this gateway takes and answers a provider gave."""

from __future__ import annotations

import gzip
import json
import lzma
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.upstream import JSON, SSE, Answer, cut

PLACE = Path(os.environ.get("WEIGHBRIDGE_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")
ROUTES: Mapping[str, str] = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "anthropic-messages": "/v1/messages",
}
"""Dialect of a row -> the route its request takes; Gemini's names the model."""
OTHER_EMBEDDINGS = (":batchEmbedContents", ":embedContent", ":predict", "/v2/embed")
"""Ends of the paths of embedding APIs that are not OpenAI's: formats this gateway does not forward."""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the provider billed."""

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded request with its recorded answer."""

    id: str
    dialect: str
    model: str
    path: str
    request: bytes
    answer: bytes
    """The recorded answer, as the client must get it."""
    headers: Mapping[str, str]
    bill: Bill | None
    """None where the provider reported no usage."""

    def played(self) -> Answer:
        """The answer as the provider sends it: streams cut anywhere, every third plain body compressed."""
        if self.headers is not JSON:
            return Answer(cut(self.answer, self.id), 200, self.headers)
        if int(self.id, 16) % 3 == 0:
            packed = gzip.compress(self.answer, 1, mtime=0)
            return Answer(cut(packed, self.id), 200, {**JSON, "content-encoding": "gzip"})
        return Answer((self.answer,), 200, {**JSON, "content-length": str(len(self.answer))})


def rows() -> Iterator[dict[str, Any]]:
    """The rows of the recorded traffic."""
    file = PLACE / "traffic.jsonl.xz"
    if not file.exists():
        pytest.skip(f"no recorded traffic at {PLACE}; set WEIGHBRIDGE_CORPUS")
    with lzma.open(file, "rt") as lines:
        yield from map(json.loads, lines)


def exchange(row: dict[str, Any]) -> Exchange | None:
    """A row as an exchange of this gateway; None where its wire format is another."""
    path = _path(row)
    if path is None or row["url_path"].endswith(OTHER_EMBEDDINGS):
        return None
    request = dict(row["request"])
    if row["dialect"] != "gemini-generate":
        # Azure names the model in the path of its deployment; every other provider wants it in the body.
        request.setdefault("model", row["model"])
    streamed = row["response_stream"]
    answer = json.dumps(row["response_body"], ensure_ascii=False) if streamed is None else streamed
    return Exchange(
        row["id"],
        row["dialect"],
        row["model"],
        path,
        json.dumps(request, ensure_ascii=False).encode(),
        answer.encode(),
        SSE if streamed is not None and not streamed.startswith("[") else JSON,
        _bill(row),
    )


def _path(row: dict[str, Any]) -> str | None:
    if row["dialect"] != "gemini-generate":
        return ROUTES.get(row["dialect"])
    if not row["stream"]:
        return f"/v1beta/models/{row['model']}:generateContent"
    sse = "" if row["response_stream"].startswith("[") else "?alt=sse"
    return f"/v1beta/models/{row['model']}:streamGenerateContent{sse}"


def _bill(row: dict[str, Any]) -> Bill | None:
    if row["usage"] is None:
        return None
    # Voyage's embeddings report a total and nothing else; a prompt that Gemini blocked reports no tokens at all.
    total = row["usage"].get("total_tokens", 0)
    prompt = total if row["input_tokens"] is None else row["input_tokens"]
    return Bill(prompt, *(row[name] or 0 for name in ("output_tokens", "cached_tokens", "reasoning_tokens")))
