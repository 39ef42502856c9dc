"""Streams of many words, as each provider sends them, and what its SDK makes of their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.provider import PROMPT, sse
from gateway.sdks import CHAT_MODEL, CLAUDE, GEMINI
from gateway.upstream import Answer, Pause, Step

WORD = "abc"
"""A token, by the evidence and by the bill."""


def slowly(events: tuple[bytes, ...], seconds: float = 0.005, **headers: str) -> Answer:
    """A stream whose chunks do not come all at once."""
    steps: list[Step] = [step for event in events for step in (event, Pause(seconds))]
    return Answer.stream(*steps, headers={"content-type": "text/event-stream", **headers})


def _chat(words: int) -> tuple[bytes, ...]:
    return sse(*[{"choices": [{"index": 0, "delta": {"content": WORD}}]}] * words)


def _chat_end(words: int) -> tuple[bytes, ...]:
    stop = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"prompt_tokens": PROMPT, "completion_tokens": words, "total_tokens": PROMPT + words}
    return sse(stop, {"choices": [], "usage": usage}, done=True)


def _claude(words: int) -> tuple[bytes, ...]:
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": CLAUDE,
               "usage": {"input_tokens": PROMPT, "output_tokens": 1}}  # fmt: skip
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}}
    return sse({"type": "message_start", "message": message}, block, *[delta] * words, named=True)


def _claude_end(words: int) -> tuple[bytes, ...]:
    last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": words}}
    return sse({"type": "content_block_stop", "index": 0}, last, {"type": "message_stop"}, named=True)


def _gemini(words: int) -> tuple[bytes, ...]:
    return sse(*[{"candidates": [{"content": {"role": "model", "parts": [{"text": WORD}]}}]}] * words)


def _gemini_end(words: int) -> tuple[bytes, ...]:
    usage = {"promptTokenCount": PROMPT, "candidatesTokenCount": words, "totalTokenCount": PROMPT + words}
    return sse({"candidates": [{"finishReason": "STOP"}], "usageMetadata": usage})


def _responses(words: int) -> tuple[bytes, ...]:
    text = {"type": "output_text", "text": "", "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "status": "in_progress", "content": []}
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    response = {"id": "r", "object": "response", "status": "in_progress", "output": []}
    events = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": text},
        *[{"type": "response.output_text.delta", **place, "delta": WORD}] * words,
    ]
    return sse(*({**event, "sequence_number": i} for i, event in enumerate(events)), named=True)


def _responses_end(words: int) -> tuple[bytes, ...]:
    usage = {"input_tokens": PROMPT, "output_tokens": words, "total_tokens": PROMPT + words}
    response = {"id": "r", "object": "response", "status": "completed", "output": [], "usage": usage}
    return sse({"type": "response.completed", "sequence_number": words, "response": response}, named=True)


def _ask_responses(sdk: Any, headers: dict[str, str]) -> Any:
    return sdk.responses.create(
        model=CHAT_MODEL, input="Weigh.", stream=True, max_output_tokens=1000, extra_headers=headers
    )


def _incomplete(heard: Any) -> int:
    last = heard[-1]
    assert last.type == "response.incomplete" and last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.output_text == WORD * [event.type for event in heard].count("response.output_text.delta")
    return [event.type for event in heard].count("response.incomplete")


def _ask_openai(sdk: Any, headers: dict[str, str]) -> Any:
    messages: Any = [{"role": "user", "content": "Weigh."}]
    return sdk.chat.completions.create(
        model=CHAT_MODEL, messages=messages, stream=True, max_tokens=1000, extra_headers=headers
    )


def _ask_anthropic(sdk: Any, headers: dict[str, str]) -> Any:
    messages: Any = [{"role": "user", "content": "Weigh."}]
    return sdk.messages.create(model=CLAUDE, messages=messages, stream=True, max_tokens=1000, extra_headers=headers)


def _ask_gemini(sdk: Any, headers: dict[str, str]) -> Any:
    config: Any = {"max_output_tokens": 1000, "http_options": {"headers": headers}}
    return sdk.models.generate_content_stream(model=GEMINI, contents="Weigh.", config=config)


def _stops(heard: Any) -> int:
    return [event.type for event in heard].count("message_stop")


def _ends(choices: str, reason: str) -> Callable[[Any], int]:
    return lambda heard: [c.finish_reason for event in heard for c in getattr(event, choices) or []].count(reason)


@dataclass(frozen=True, slots=True)
class LongAnswer:
    """One provider's."""

    ask: Callable[[Any, dict[str, str]], Any]
    """(SDK, headers) -> a stream of up to 1000 tokens; a coroutine of one for SDKs of event loops."""
    words: Callable[[int], tuple[bytes, ...]]
    """The beginning, with so many words."""
    end: Callable[[int], tuple[bytes, ...]]
    """The rest, with the usage of so many words."""
    ends: Callable[[Any], int]
    """How often the SDK hears that the answer ended for want of tokens (anthropic: that it ended)."""


LONG_ANSWERS = {
    "openai": LongAnswer(_ask_openai, _chat, _chat_end, _ends("choices", "length")),
    "responses": LongAnswer(_ask_responses, _responses, _responses_end, _incomplete),
    "anthropic": LongAnswer(_ask_anthropic, _claude, _claude_end, _stops),
    "gemini": LongAnswer(_ask_gemini, _gemini, _gemini_end, _ends("candidates", "MAX_TOKENS")),
}
