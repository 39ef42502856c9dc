"""Gemini: `POST /v1beta/models/{model}:countTokens` with a whole `generateContentRequest`.

REST, because google-genai refuses system instructions, tools and generation settings in
`count_tokens` on the Developer API, and all of them weigh.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from weighbridge.core.dialects.body import compact, decode
from weighbridge.core.model import Call, Json, RawCall
from weighbridge.counters.question import Api, Question, number

WRAPPED = ("generateContentRequest", "generate_content_request")
VERSIONED = re.compile(r"/(v1|v1beta|v1alpha)/")
# As in the API's GenerateContentRequest (November 2026); both spellings of JSON are read.
MEMBERS = (
    *("contents", "tools", "toolConfig", "safetySettings", "systemInstruction", "generationConfig", "cachedContent"),
    *("tool_config", "safety_settings", "system_instruction", "generation_config", "cached_content"),
)


def question(raw: RawCall, call: Call) -> Question:
    """The request to generate, or the one inside a request to count."""
    body = decode(raw.body)
    inner = next((body[name] for name in WRAPPED if isinstance(body.get(name), dict)), body)
    resource = call.model if "/" in call.model else f"models/{call.model}"
    asked = {"model": resource} | {name: inner[name] for name in MEMBERS if inner.get(name) is not None}
    version = VERSIONED.match(raw.path)
    path = f"/{version[1] if version else 'v1beta'}/{quote(resource, safe='/')}:countTokens"
    return Question(path, compact({"generateContentRequest": asked}).encode())


def tokens(document: Json) -> int:
    """`{"totalTokens": 31, "cachedContentTokenCount": ...}`; the total holds what is cached."""
    return number(document, "totalTokens")


API = Api(
    name="gemini",
    method="gemini countTokens",
    dialects=frozenset({"gemini-generate"}),
    key=("x-goog-api-key", "{}"),
    question=question,
    tokens=tokens,
)
