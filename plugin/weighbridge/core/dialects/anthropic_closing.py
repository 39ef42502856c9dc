"""How Anthropic's streams end when their tokens run out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.core.model import Call, Json, Usage

END: Mapping[str, Json] = {"stop_reason": "max_tokens", "stop_sequence": None}


class Message:
    """A message of blocks, one open at a time."""

    def __init__(self, call: Call) -> None:
        self._block: Json = None
        self._begun = False
        self._reasoned = False
        self._ended = False

    def hear(self, event: Mapping[str, Any]) -> None:
        """See Closing."""
        match event.get("type"):
            case "message_start":
                self._begun = True
            case "content_block_start":
                self._block = event.get("index", 0)
            case "content_block_stop":
                self._block = None
            case "message_delta":
                self._reasoned = True
            case "message_stop" | "error":
                self._ended = True

    def say(self, used: Usage) -> list[Json]:
        """See Closing."""
        if self._ended or not self._begun:
            return []
        block = [] if self._block is None else [{"type": "content_block_stop", "index": self._block}]
        usage = {"output_tokens": used.output}
        reason = [] if self._reasoned else [{"type": "message_delta", "delta": dict(END), "usage": usage}]
        return [*block, *reason, {"type": "message_stop"}]
