"""How OpenAI's streams end when their tokens run out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from weighbridge.core.dialects.answer import amount, inner
from weighbridge.core.dialects.curtain import KEPT
from weighbridge.core.model import Call, Json, Usage

HEAD = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
DONE = "[DONE]"


def chat(call: Call) -> Chunks:
    """Chat completions."""
    return Chunks(call, lambda i: {"index": i, "delta": {}, "logprobs": None, "finish_reason": "length"})


def completions(call: Call) -> Chunks:
    """Text completions."""
    return Chunks(call, lambda i: {"index": i, "text": "", "logprobs": None, "finish_reason": "length"})


class Chunks:
    """Chunks of choices, each of which ends with its reason."""

    def __init__(self, call: Call, last: Callable[[int], Json]) -> None:
        self._call = call
        self._last = last
        self._head: dict[str, Json] = {}
        self._ended: set[Json] = set()

    def hear(self, event: Mapping[str, Any]) -> None:
        """See Closing."""
        self._head = self._head or {key: event[key] for key in HEAD if key in event}
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and choice.get("finish_reason"):
                self._ended.add(choice.get("index", 0))

    def say(self, used: Usage) -> list[Json]:
        """See Closing."""
        open_still = [i for i in range(self._call.choices) if i not in self._ended]
        chunks: list[Json] = [{**self._head, "choices": [self._last(i)]} for i in open_still]
        if self._call.wants_usage:
            counts = {"prompt_tokens": used.input, "completion_tokens": used.output}
            chunks.append({**self._head, "choices": [], "usage": {**counts, "total_tokens": sum(counts.values())}})
        return [*chunks, DONE]


class Responses:
    """A response of items, each with a beginning and an end."""

    def __init__(self, call: Call) -> None:
        self._response: dict[str, Json] = {"object": "response", "model": call.model}
        self._items: list[Json] = []
        self._begun: dict[str, Json] = {}
        self._part: dict[str, Json] = {}
        self._text = ""
        self._room = KEPT
        self._number = -1
        self._ended = False

    def hear(self, event: Mapping[str, Any]) -> None:
        """See Closing."""
        self._number = amount(event, "sequence_number") or self._number + 1
        match str(event.get("type")).removeprefix("response.").split("."):
            case ["created" | "queued" | "in_progress"]:
                self._response = _bounded(inner(event, "response"))
            case ["output_item", "added"]:
                self._begun, self._part, self._text = dict(event), {}, ""
            case ["content_part", "added"]:
                self._part, self._text = dict(event), ""
            case [_, "delta"] if isinstance(event.get("delta"), str):
                self._keep(event["delta"])
            case ["output_item", "done"]:
                self._finished(inner(event, "item"))
            case ["completed" | "incomplete" | "failed"]:
                self._ended = True

    def _keep(self, delta: str) -> None:
        self._room -= len(delta)
        self._text = self._text + delta if self._room > 0 else ""

    def _finished(self, item: Mapping[str, Json]) -> None:
        """An item is said again at the end, if not too large."""
        self._begun, self._part = {}, {}
        self._items.append(dict(item) if self._room > 0 else {"type": item.get("type"), "id": item.get("id")})

    def say(self, used: Usage) -> list[Json]:
        """See Closing."""
        if self._ended:
            return []
        events = self._unfinished() if self._begun and self._room > 0 else []
        response = {
            **self._response,
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": self._items if self._room > 0 else [],
            "usage": _usage(used),
        }
        events.append({"type": "response.incomplete", "response": response})
        return [{**event, "sequence_number": self._number + i} for i, event in enumerate(events, 1)]

    def _unfinished(self) -> list[dict[str, Json]]:
        """The ends of the part and the item at hand."""
        place: dict[str, Json] = {"output_index": self._begun.get("output_index", 0)}
        item = {**inner(self._begun, "item"), "status": "incomplete"}
        named = {"item_id": item.get("id"), **place}
        events: list[dict[str, Json]] = []
        if "arguments" in item:
            item["arguments"] = self._text
            events.append({"type": "response.function_call_arguments.done", **named, "arguments": self._text})
        elif inner(self._part, "part").get("type") == "output_text":
            part = {**inner(self._part, "part"), "text": self._text}
            named["content_index"] = self._part.get("content_index", 0)
            item["content"] = [part]
            events.append({"type": "response.output_text.done", **named, "text": self._text, "logprobs": []})
            events.append({"type": "response.content_part.done", **named, "part": part})
        events.append({"type": "response.output_item.done", **place, "item": item})
        self._items = [*self._items, item]
        return events


def _bounded(response: Mapping[str, Json]) -> dict[str, Json]:
    """A response without what it repeats of the request, which may be long."""
    return {**response, "instructions": None, "tools": []}


def _usage(used: Usage) -> Json:
    return {
        "input_tokens": used.input,
        "input_tokens_details": {"cached_tokens": used.cache_read, "cache_write_tokens": used.cache_write},
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.input + used.output,
    }
