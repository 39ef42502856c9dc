"""The official SDKs, with nothing changed but base URL and key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors as genai_errors
from openai.resources.responses import Responses

from gateway.upstream import Answer, Seen, Upstream, serving

CHAT_MODEL = "gpt-4o-mini"
CLAUDE = "claude-haiku-4-5"
GEMINI = "gemini-2.5-flash"
QUESTION = "What does the lorry weigh?"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"lorry": {"type": "string"}}, "required": ["lorry"]}
OPENAI_TOOL: Any = {"type": "function", "function": {"name": "weigh", "description": "Weigh it.", "parameters": SCHEMA}}
RESPONSES_TOOL: Any = {"type": "function", "name": "weigh", "description": "Weigh it.", "parameters": SCHEMA}
ANTHROPIC_TOOL: Any = {"name": "weigh", "description": "Weigh it.", "input_schema": SCHEMA}
GEMINI_TOOL: Any = {"function_declarations": [{"name": "weigh", "description": "Weigh it.", "parameters": SCHEMA}]}
ASKS_FOR_COUNTS = pytest.mark.skipif(
    not hasattr(Responses, "input_tokens"), reason="this openai is too old to ask for a count of input tokens"
)
HOP_BY_HOP = ("connection", "transfer-encoding", "content-length", "content-encoding", "host")


def openai_at(url: str, key: str, **more: Any) -> openai.OpenAI:
    """The OpenAI SDK."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, **more)


def async_openai_at(url: str, key: str, **more: Any) -> openai.AsyncOpenAI:
    """The same, for event loops."""
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, **more)


def anthropic_at(url: str, key: str, **more: Any) -> anthropic.Anthropic:
    """The Anthropic SDK."""
    return anthropic.Anthropic(base_url=url, api_key=key, **more)


def async_anthropic_at(url: str, key: str, **more: Any) -> anthropic.AsyncAnthropic:
    """The same, for event loops."""
    return anthropic.AsyncAnthropic(base_url=url, api_key=key, **more)


def genai_at(url: str, key: str) -> genai.Client:
    """The Google SDK, sync and (`.aio`) for event loops."""
    return genai.Client(api_key=key, http_options={"base_url": url})


@dataclass(frozen=True, slots=True)
class Asking:
    """How one SDK asks, and how it says no."""

    ask: Callable[[str, str, str, str, int], Any]
    """(url, key, model, prompt, retries) -> the answer."""
    model: str
    errors: dict[int, type[Exception]]
    """Status -> the SDK's own exception."""
    weighbridge: Callable[[Any], dict[str, Any]]
    """The machine-readable part of an exception."""
    code: Callable[[Any], object]
    """The provider's code of an exception."""


def _ask_openai(url: str, key: str, model: str, prompt: str, retries: int) -> Any:
    with openai_at(url, key, **_retries(retries)) as client:
        return client.chat.completions.create(model=model, messages=[{"role": "user", "content": prompt}])


def _ask_responses(url: str, key: str, model: str, prompt: str, retries: int) -> Any:
    with openai_at(url, key, **_retries(retries)) as client:
        return client.responses.create(model=model, input=prompt)


def _ask_anthropic(url: str, key: str, model: str, prompt: str, retries: int) -> Any:
    with anthropic_at(url, key, **_retries(retries)) as client:
        return client.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": prompt}])


def _ask_genai(url: str, key: str, model: str, prompt: str, retries: int) -> Any:
    client = genai_at(url, key)
    try:
        return client.models.generate_content(model=model, contents=prompt)
    finally:
        client.close()


def _retries(retries: int) -> dict[str, int]:
    return {} if retries < 0 else {"max_retries": retries}


OPENAI_ERRORS: dict[int, type[Exception]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    429: openai.RateLimitError,
}
ANTHROPIC_ERRORS: dict[int, type[Exception]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    429: anthropic.RateLimitError,
}
SDKS: dict[str, Asking] = {
    "openai": Asking(_ask_openai, CHAT_MODEL, OPENAI_ERRORS, lambda e: dict(e.body["weighbridge"]), lambda e: e.code),
    "openai-responses": Asking(
        _ask_responses, CHAT_MODEL, OPENAI_ERRORS, lambda e: dict(e.body["weighbridge"]), lambda e: e.code
    ),
    "anthropic": Asking(
        _ask_anthropic,
        CLAUDE,
        ANTHROPIC_ERRORS,
        lambda e: dict(e.body["error"]["weighbridge"]),
        lambda e: e.body["error"]["type"],
    ),
    "google-genai": Asking(
        _ask_genai,
        GEMINI,
        dict.fromkeys((400, 401, 403, 429), genai_errors.ClientError),
        lambda e: dict(e.details["error"]["details"][0]),
        lambda e: e.status,
    ),
}


@contextmanager
def counted(url: str) -> Iterator[tuple[str, list[Seen]]]:
    """A hop in front of the gateway that counts what really arrives, whatever an SDK says it did."""

    async def relay(seen: Seen) -> Answer:
        headers = {name: value for name, value in seen.headers.items() if name not in HOP_BY_HOP}
        async with httpx.AsyncClient(timeout=60) as client:
            answer = await client.request(seen.method, f"{url}{seen.path}", content=seen.body, headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name not in HOP_BY_HOP}
        return Answer((answer.content,), answer.status_code, kept)

    hop = Upstream(relay)
    with serving(hop) as hop_url:
        yield hop_url, hop.seen
