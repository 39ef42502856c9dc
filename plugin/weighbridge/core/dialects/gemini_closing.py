"""How Gemini's streams, events or elements of an array, end when their tokens run out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.core.model import Call, Json, Usage

HEAD = ("modelVersion", "responseId")


class Candidates:
    """Candidates, each of which ends with its reason."""

    def __init__(self, call: Call) -> None:
        self._wanted = call.choices
        self._head: dict[str, Json] = {}
        self._ended: set[Json] = set()

    def hear(self, event: Mapping[str, Any]) -> None:
        """See Closing."""
        self._head |= {key: event[key] for key in HEAD if key in event}
        found = event.get("candidates")
        for candidate in found if isinstance(found, list) else []:
            if isinstance(candidate, dict) and candidate.get("finishReason"):
                self._ended.add(candidate.get("index", 0))

    def say(self, used: Usage) -> list[Json]:
        """See Closing."""
        open_still = [i for i in range(self._wanted) if i not in self._ended]
        if not open_still:
            return []
        content = {"parts": [{"text": ""}], "role": "model"}
        last = [{"content": content, "finishReason": "MAX_TOKENS", "index": i} for i in open_still]
        visible = {"candidatesTokenCount": used.output - used.reasoning}
        thought = {"thoughtsTokenCount": used.reasoning} if used.reasoning else {}
        total = used.input + used.tool_input + used.output
        counts = {"promptTokenCount": used.input, **visible, **thought, "totalTokenCount": total}
        return [{"candidates": last, "usageMetadata": counts, **self._head}]
