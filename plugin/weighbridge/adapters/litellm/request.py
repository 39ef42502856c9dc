"""A request as LiteLLM's hooks bring it, put back into the words of its wire format."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from weighbridge.core.dialects import DIALECTS, Route, route
from weighbridge.core.dialects.base import Amendment
from weighbridge.core.model import Json, Principal
from weighbridge.core.tags import HEADER

CALLS: Final = {
    "acompletion": "openai-chat",
    "completion": "openai-chat",
    "atext_completion": "openai-completions",
    "text_completion": "openai-completions",
    "aembedding": "openai-embeddings",
    "embeddings": "openai-embeddings",
    "aresponses": "openai-responses",
    "responses": "openai-responses",
    "anthropic_messages": "anthropic-messages",
    "agenerate_content": "gemini-generate",
    "agenerate_content_stream": "gemini-generate",
}
"""LiteLLM's name of a call -> the wire format its client speaks.  Others are not weighed: see `unmetered`."""
HASHED: Final = re.compile("[0-9a-f]{64}")
THREAD: Final = re.compile(r"/threads/[^/]+/messages$")
"""A message that is kept for a run to come: no Anthropic's."""
MEANT: Final = ("anthropic-version", "anthropic-beta")
MOST: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
PRIVATE: Final = frozenset(
    ("proxy_server_request", "metadata", "litellm_metadata", "litellm_call_id", "litellm_logging_obj", "secret_fields")
)
"""What LiteLLM lays beside the body of a request that passes through."""
ADDED: Final = ("messages", "system", "instructions", "tools", "functions", "response_format", *MOST)
"""What hooks before us may add to a request, and what weighs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be weighed."""

    dialect: str
    body: dict[str, Json]
    model: str
    """As the client named it."""
    stream: bool
    path: str
    headers: Mapping[str, str]
    named_by_path: bool
    passes: bool
    """Forwarded as it is, without LiteLLM's own translation."""


def asked(data: Mapping[str, Any], call_type: str, path: str) -> Asked | None:
    """The request behind a hook's `data`; None where no wire format is known for it."""
    # What passes through a WebSocket has no logger yet: there is no body to weigh.
    passes = call_type == "pass_through_endpoint" and "litellm_logging_obj" in data
    found = spoken(path) if passes else None
    dialect = CALLS.get(call_type) or (found.dialect if found is not None and found.kind == "generate" else None)
    if dialect is None:
        return None
    # What passes through is all the client's own, whatever it calls itself.
    sent = {} if passes else data.get("proxy_server_request") or {}
    body = _body(data, sent.get("body"))
    by_path = dialect in ("gemini-generate", "pangu-chat")
    model = str(data.get("model") or (found.model if found is not None else "") or "")
    stream = bool(data.get("stream") or (found is not None and found.stream) or call_type.endswith("_stream"))
    headers = {name: value for name, value in (sent.get("headers") or {}).items() if name in MEANT}
    if by_path:
        body = {name: value for name, value in body.items() if name not in ("model", "stream")}
    return Asked(
        dialect, body, model, stream, path or urlsplit(sent.get("url", "")).path, headers, by_path, found is not None
    )


def spoken(path: str) -> Route | None:
    """The wire format of a path that passes through, whatever LiteLLM set before it."""
    if THREAD.search(path):
        return None
    parts = path.strip("/").split("/")
    tails = ("/" + "/".join(parts[at:]) for at in range(len(parts)))
    return next((found for tail in tails for found in _either(tail)), None)


def _either(tail: str) -> Iterator[Route]:
    for path in (tail, f"/v1{tail}"):
        found = route("POST", path)
        if found is not None:
            yield found


def _body(data: Mapping[str, Any], sent: Any) -> dict[str, Json]:
    """What the client sent, as far as LiteLLM and the hooks before us left it so."""
    if isinstance(sent, Mapping):
        added = {name: data[name] for name in ADDED if data.get(name) is not None}
        return {name: data.get(name, value) for name, value in sent.items() if name not in PRIVATE} | added
    return {name: value for name, value in data.items() if name not in PRIVATE}


def encoded(asked: Asked, model: str) -> bytes:
    """The body as bytes, naming the model that will answer."""
    body = asked.body if asked.named_by_path else {**asked.body, "model": model}
    try:
        return orjson.dumps(body)
    except TypeError:  # what only Python's own JSON can say: long integers, halves of a character
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def amended(data: MutableMapping[str, Any], asked: Asked, changed: bytes) -> None:
    """Lay what a decision changed in the body over LiteLLM's own copy of it."""
    for name, value in json.loads(changed).items():
        if name != "model" and asked.body.get(name) != value:
            data[name] = value


def change(asked: Asked, sent: bytes, call: Any, amendment: Amendment) -> bytes:
    """The body with an amendment made."""
    return DIALECTS[asked.dialect].amend(sent, call, amendment)


def principal(user: Any, data: Mapping[str, Any]) -> Principal:
    """LiteLLM's caller in our words: names where it has them, else ids.  `user` is a UserAPIKeyAuth."""
    end_user = {"end_user": str(user.end_user_id)} if user.end_user_id else {}
    own = _tags((user.metadata or {}).get("tags"))
    return Principal(
        org=getattr(user, "organization_alias", None) or user.org_id,
        team=user.team_alias or user.team_id,
        user=user.user_id,
        key=user.key_alias or _short(user.token or user.api_key),
        tags={**_asked_tags(data), **end_user, **own},
    )


def _asked_tags(data: Mapping[str, Any]) -> dict[str, str]:
    """The tags of the request: those LiteLLM found in it, and our own header's."""
    headers = (data.get("proxy_server_request") or {}).get("headers") or {}
    found = _tags([item for item in str(headers.get(HEADER, "")).split(",") if item.strip()])
    for place in ("metadata", "litellm_metadata"):
        metadata = data.get(place)
        if isinstance(metadata, Mapping):
            found |= _tags(metadata.get("tags"))
    return found


def _tags(tags: Any) -> dict[str, str]:
    """LiteLLM's tags are words; one that holds `=` or `:` is a name and a value."""
    found = {}
    for tag in tags if isinstance(tags, list) else ():
        name, equals, value = str(tag).replace(":", "=", 1).partition("=")
        found[name.strip()] = value.strip() if equals else "true"
    return found


def _short(secret: str | None) -> str | None:
    """A key's id where it has no alias: never the key.  LiteLLM has most keys as a hash already."""
    if secret is None or HASHED.fullmatch(secret):
        return secret and secret[:16]
    return hashlib.sha256(secret.encode()).hexdigest()[:16]
