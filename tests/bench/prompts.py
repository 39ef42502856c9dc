"""What is asked of a proxy with two limiters: prompts of every kind, and one chat that ends in many ways."""

from __future__ import annotations

import base64
import os
import random
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import tiktoken
from billing import ASKED, MODEL, Body
from chats import WORDS
from counting import vocabularies

CHAT: Final = "/v1/chat/completions"
THOUSAND: Final = " ".join(random.Random(2).choices(WORDS, k=1_000))


@dataclass(frozen=True, slots=True)
class Row:
    """A request of the table."""

    title: str
    path: str
    body: Body
    bill: int | None = None
    """Tokens of the prompt, where they are known."""


def prompt_tokens(text: str) -> int:
    """What OpenAI bills for a chat of one message of text."""
    os.environ["TIKTOKEN_CACHE_DIR"] = str(vocabularies())
    return 3 + 1 + len(tiktoken.get_encoding("o200k_base").encode(text)) + 3


def rows() -> tuple[Row, ...]:
    """The requests of the first table."""
    said, long = [{"role": "user", "content": "hi"}], [{"role": "user", "content": THOUSAND}]
    most = {"max_tokens": ASKED}
    chat: Body = {"model": MODEL, "messages": said, **most}
    claude: Body = {"model": "claude", "messages": said, **most}
    parameters = {"type": "object", "properties": {"a": {"type": "string", "description": THOUSAND}}}
    tool = {"type": "function", "function": {"name": "weigh", "description": THOUSAND, "parameters": {}}}
    schema = {"name": "answer", "schema": parameters}
    image = [{"type": "image_url", "image_url": {"url": _picture(1024), "detail": "high"}}]
    contents = {"contents": [{"role": "user", "parts": [{"text": THOUSAND}]}]}
    hi, thousand = prompt_tokens("hi"), prompt_tokens(THOUSAND)
    return (
        Row('chat, "hi"', CHAT, chat, hi),
        Row("the same without `max_tokens`", CHAT, {"model": MODEL, "messages": said}, hi),
        Row("chat of 1,000 words", CHAT, {**chat, "messages": long}, thousand),
        Row('chat, "hi" and tools of 1,000 words', CHAT, {**chat, "tools": [tool]}),
        Row('chat, "hi" and a JSON schema of 1,000 words', CHAT,
            {**chat, "response_format": {"type": "json_schema", "json_schema": schema}}),
        Row('messages, "hi" and a system prompt of 1,000 words', "/v1/messages", {**claude, "system": THOUSAND}),
        Row('responses, "hi" and instructions of 1,000 words', "/v1/responses",
            {"model": MODEL, "input": "hi", "instructions": THOUSAND, "max_output_tokens": ASKED}),
        Row("contents of 1,000 words (Gemini)", "/v1beta/models/gem:generateContent",
            {**contents, "generationConfig": {"maxOutputTokens": ASKED}}),
        Row("messages of 1,000 words, passed through", "/anthropic/v1/messages",
            {"model": "claude-haiku-4-5", "messages": long, **most}),
        Row("chat, one image of 1,024 x 1,024 in high detail", CHAT,
            {**chat, "messages": [{"role": "user", "content": image}]}),
    )  # fmt: skip


def endings() -> tuple[Row, ...]:
    """The requests of the second table: the same chat, which ends in many ways."""
    chat: Body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": ASKED}
    hi, cached = prompt_tokens("hi"), {"cache": {"use-cache": True}}
    once = {**chat, **cached, "messages": [{"role": "user", "content": "hi once more"}]}
    return (
        Row("whole", CHAT, chat, hi),
        Row("streamed", CHAT, {**chat, "stream": True}, hi),
        Row("streamed, no usage reported", CHAT, {**chat, "model": "silent", "stream": True}, hi),
        Row("the provider fails", CHAT, {**chat, "model": "broken"}, 0),
        Row("answered, and kept in LiteLLM's cache", CHAT, once, prompt_tokens("hi once more")),
        Row("answered from LiteLLM's cache", CHAT, once, 0),
        Row("passed through", "/openai/v1/chat/completions", chat, hi),
    )


def _picture(side: int) -> str:
    """A black square, as a data URL."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" * (side + 1)) * side))
    picture = b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(picture).decode()
