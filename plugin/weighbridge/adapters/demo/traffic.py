"""What the three teams send: every call is a row, sent by one of the official SDKs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import anthropic
import openai
from google.genai import errors as google_errors
from google.genai import types

from weighbridge.adapters.demo.clients import Clients, tag

Send = Callable[[Clients, "Call", dict[str, str]], None]
ERRORS: Final = (openai.APIError, anthropic.APIError, google_errors.APIError)
SYSTEM: Final = "You answer in two sentences, plainly, for people who run a logistics company."
QUESTION: Final = "Why does a weighbridge weigh a lorry twice?"
LONG_STORY: Final = "Tell the history of the weighbridge at length."
NOVEL: Final = "The lorry rolled onto the plate, stood still, and was weighed. " * 250
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"plate": {"type": "string", "description": "The lorry's number plate"}},
    "required": ["plate"],
}
NAME: Final = "weigh"
DOES: Final = "Weighs a lorry; answers kilograms."
CHAT_TOOL: Final[Any] = {"type": "function", "function": {"name": NAME, "description": DOES, "parameters": SCHEMA}}
CLAUDE_TOOL: Final[Any] = {"name": NAME, "description": DOES, "input_schema": SCHEMA}


@dataclass(frozen=True, slots=True)
class Call:
    """One call, before it is sent."""

    team: str
    sdk: str
    what: str
    model: str
    send: Send
    prompt: str = QUESTION
    max_tokens: int = 400


@dataclass(frozen=True, slots=True)
class Sent:
    """One call, after it was sent."""

    number: int
    call: Call
    error: str = ""
    """What the SDK raised, in its own words."""
    reason: str = ""
    """Why weighbridge refused it; "" where it did not, whatever else went wrong."""


def _chat(c: Clients, call: Call, mark: dict[str, str]) -> None:
    c.openai.chat.completions.create(
        model=call.model,
        messages=[{"role": "system", "content": SYSTEM}, {"role": "user", "content": call.prompt}],
        max_tokens=call.max_tokens,
        extra_headers=mark,
    )


def _chat_stream(c: Clients, call: Call, mark: dict[str, str]) -> None:
    chunks = c.openai.chat.completions.create(
        model=call.model, messages=[{"role": "user", "content": call.prompt}], stream=True, extra_headers=mark
    )
    for _ in chunks:
        continue


def _chat_tools(c: Clients, call: Call, mark: dict[str, str]) -> None:
    c.openai.chat.completions.create(
        model=call.model,
        messages=[{"role": "user", "content": call.prompt}],
        tools=[CHAT_TOOL],
        extra_headers=mark,
    )


def _responses(c: Clients, call: Call, mark: dict[str, str]) -> None:
    c.openai.responses.create(
        model=call.model, instructions=SYSTEM, input=call.prompt, max_output_tokens=call.max_tokens, extra_headers=mark
    )


def _messages(c: Clients, call: Call, mark: dict[str, str]) -> None:
    c.anthropic.messages.create(
        model=call.model,
        system=SYSTEM,
        messages=[{"role": "user", "content": call.prompt}],
        max_tokens=call.max_tokens,
        extra_headers=mark,
    )


def _messages_stream(c: Clients, call: Call, mark: dict[str, str]) -> None:
    with c.anthropic.messages.stream(
        model=call.model,
        messages=[{"role": "user", "content": call.prompt}],
        max_tokens=call.max_tokens,
        extra_headers=mark,
    ) as stream:
        stream.until_done()


def _messages_tools(c: Clients, call: Call, mark: dict[str, str]) -> None:
    c.anthropic.messages.create(
        model=call.model,
        messages=[{"role": "user", "content": call.prompt}],
        tools=[CLAUDE_TOOL],
        max_tokens=call.max_tokens,
        extra_headers=mark,
    )


def _gemini_config(call: Call, mark: dict[str, str], **more: Any) -> types.GenerateContentConfig:
    options = types.HttpOptions(headers=mark)
    return types.GenerateContentConfig(max_output_tokens=call.max_tokens, http_options=options, **more)


def _gemini(c: Clients, call: Call, mark: dict[str, str]) -> None:
    config = _gemini_config(call, mark, system_instruction=SYSTEM)
    c.google.models.generate_content(model=call.model, contents=call.prompt, config=config)


def _gemini_stream(c: Clients, call: Call, mark: dict[str, str]) -> None:
    config = _gemini_config(call, mark)
    for _ in c.google.models.generate_content_stream(model=call.model, contents=call.prompt, config=config):
        continue


def _gemini_tools(c: Clients, call: Call, mark: dict[str, str]) -> None:
    declared = types.FunctionDeclaration(name=NAME, description=DOES, parameters_json_schema=SCHEMA)
    config = _gemini_config(call, mark, tools=[types.Tool(function_declarations=[declared])])
    c.google.models.generate_content(model=call.model, contents=call.prompt, config=config)


CALLS: Final = (
    Call("research", "openai", "chat", "gpt-4.1", _chat),
    Call("research", "openai", "chat, streamed", "gpt-4.1", _chat_stream),
    Call("research", "openai", "chat, tools", "gpt-4o", _chat_tools),
    Call("research", "openai", "responses", "gpt-4.1-mini", _responses),
    Call("research", "anthropic", "messages", "claude-sonnet-4-5", _messages),
    Call("research", "anthropic", "messages, streamed", "claude-sonnet-4-5", _messages_stream),
    Call("research", "anthropic", "messages, tools", "claude-haiku-4-5", _messages_tools),
    Call("research", "google-genai", "generate", "gemini-2.5-pro", _gemini),
    Call("research", "google-genai", "generate, streamed", "gemini-2.5-flash", _gemini_stream),
    Call("research", "google-genai", "generate, tools", "gemini-2.5-flash", _gemini_tools),
    Call("support", "anthropic", "messages", "claude-sonnet-4-5", _messages),
    Call("support", "anthropic", "messages, asks for 8,000", "claude-sonnet-4-5", _messages, LONG_STORY, 8000),
    Call("support", "openai", "chat", "gpt-4.1", _chat),
    Call("support", "anthropic", "messages, streamed", "claude-sonnet-4-5", _messages_stream),
    Call("support", "google-genai", "generate", "gemini-2.5-pro", _gemini),
    Call("interns", "openai", "chat", "gpt-4.1", _chat),
    Call("interns", "anthropic", "messages, long prompt", "claude-haiku-4-5", _messages, NOVEL),
    *(Call("interns", "openai", "chat", "gpt-4o-mini", _chat) for _ in range(3)),
    Call("interns", "google-genai", "generate", "gemini-2.5-flash", _gemini),
    *(Call("interns", "openai", "chat", "gpt-4o-mini", _chat) for _ in range(3)),
)


def send_all(url: str, keys: Mapping[str, str]) -> Iterator[Sent]:
    """Send every call, one after the other."""
    # The SDK would wait for the next minute before it tries a rate limit again: not in a demo.
    options = {"interns": {"max_retries": 0}}
    clients = {team: Clients.at(url, key, **options.get(team, {})) for team, key in keys.items()}
    try:
        for number, call in enumerate(CALLS, 1):
            yield _sent(clients[call.team], number, call)
    finally:
        for client in clients.values():
            client.close()


def _sent(clients: Clients, number: int, call: Call) -> Sent:
    try:
        call.send(clients, call, tag(number))
    except ERRORS as error:
        inner = _inner(error)
        words = inner.get("message") or error
        return Sent(number, call, f"{type(error).__name__} ({_status(error)}): {words}", _reason(inner))
    return Sent(number, call)


def _status(error: Any) -> object:
    return getattr(error, "status_code", None) or getattr(error, "code", "no status")


def _inner(error: Any) -> Mapping[str, Any]:
    """The provider's error object out of an SDK's exception."""
    body = getattr(error, "body", None) or getattr(error, "details", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return inner if isinstance(inner, dict) else {}


def _reason(inner: Mapping[str, Any]) -> str:
    """The reason in the machine-readable part, which only weighbridge's own refusals have."""
    part: Any = inner.get("weighbridge") or next(iter(inner.get("details") or []), {})
    return str(part.get("reason", "")) if isinstance(part, dict) else ""
