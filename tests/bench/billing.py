"""A provider stand-in that bills what it is told to, in four wire formats.

`/broken/` in a path: it fails; `/silent/`: its streams report no usage.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MODEL: Final = "gpt-4o-mini"
ASKED: Final = 100
ANSWER: Final = 7
"""Tokens of an answer, of the 100 that are asked for; whoever asks for another number gets all of it."""
GUESSED: Final = 1_000
"""What is billed for a prompt nobody here knows the bill of."""
Body = dict[str, Any]


@dataclass
class Provider:
    """The stand-in.  `look` is called while it has a request."""

    look: Callable[[], None] = lambda: None
    prompt: int = GUESSED
    billed: int = 0
    """Tokens of all its answers."""

    def answer(self, path: str, asked: Body) -> tuple[int, bytes, str]:
        """Status, body and content type."""
        self.look()
        if "/broken/" in path:
            return 500, b'{"error": {"message": "not now"}}', "application/json"
        most = next((asked[name] for name in ("max_tokens", "max_completion_tokens") if name in asked), ASKED)
        output = ANSWER if most == ASKED else most
        self.billed += self.prompt + output
        if asked.get("stream"):
            return 200, _stream(self.prompt, output, told="/silent/" not in path), "text/event-stream"
        return 200, json.dumps(_whole(path, self.prompt, output)).encode(), "application/json"


def _whole(path: str, prompt: int, output: int) -> Body:
    """An answer in the words of its path, with its bill."""
    said = {"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output}
    if path.endswith("/messages"):
        text = [{"type": "text", "text": "ok"}]
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5"}
        return {**message, "content": text, "stop_reason": "end_turn", "stop_sequence": None, "usage": said}
    if path.endswith("/responses"):
        head = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": MODEL}
        part = {"type": "output_text", "text": "ok", "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
        rest = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return {**head, **rest, "output": [message], "usage": said}
    if ":generateContent" in path:
        told = {"promptTokenCount": prompt, "candidatesTokenCount": output, "totalTokenCount": prompt + output}
        content = {"role": "model", "parts": [{"text": "ok"}]}
        return {"candidates": [{"content": content, "finishReason": "STOP"}], "usageMetadata": told}
    choice = {"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}
    return {**_chat("chat.completion"), "choices": [choice], "usage": _chat_usage(prompt, output)}


def _stream(prompt: int, output: int, told: bool) -> bytes:
    frame = _chat("chat.completion.chunk")
    deltas = [{"index": 0, "delta": {"content": " weight"}, "finish_reason": None}] * output
    events = [{**frame, "choices": [delta]} for delta in deltas]
    events.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if told:
        events.append({**frame, "choices": [], "usage": _chat_usage(prompt, output)})
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def _chat(kind: str) -> Body:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": MODEL}


def _chat_usage(prompt: int, output: int) -> Body:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


@contextmanager
def serving(provider: Provider) -> Iterator[str]:
    """The stand-in on a port of its own; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

        def do_POST(self) -> None:
            length = self.headers.get("content-length")
            body = self.rfile.read(int(length)) if length else self._pieces()
            status, answer, kind = provider.answer(self.path, json.loads(body))
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(answer)

        def _pieces(self) -> bytes:
            found = b""
            while size := int(self.rfile.readline(), 16):
                found += self.rfile.read(size)
                self.rfile.readline()
            return found

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()
