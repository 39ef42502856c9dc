"""What is sent and answered: chats of ten messages (about 11 kB, 2,000 tokens) and the provider's answers."""

from __future__ import annotations

import json
import random
from typing import Final

_TEXT: Final = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one were her all there been when who will more if out so said what up its about into than them can only other "
    "new some could time these two may then first any now such like our over man even most made after also before "
    "must through back years where much your way well down should because each just those people state good very "
    "make world still own see men work long here between life being under never day same another know while last "
    "might great old year off come since against go came right used take three report budget quarter provider "
    "request answer weight measure counter ledger window limit stream token gateway policy forward journal settle"
)
WORDS: Final = tuple(_TEXT.split())
CHATS: Final = 64
MESSAGES: Final = 10
WORDS_A_MESSAGE: Final = 205
STREAM_CHUNKS: Final = 20
MODEL: Final = "gpt-4o-mini"
USAGE: Final = {"prompt_tokens": 2070, "completion_tokens": STREAM_CHUNKS, "total_tokens": 2070 + STREAM_CHUNKS}


def bodies(stream: bool) -> list[bytes]:
    """The request bodies, all different; the same at every run."""
    return [_body(random.Random(number), stream) for number in range(CHATS)]


def _body(draw: random.Random, stream: bool) -> bytes:
    messages = [
        {"role": "user" if turn % 2 == 0 else "assistant", "content": " ".join(draw.choices(WORDS, k=WORDS_A_MESSAGE))}
        for turn in range(MESSAGES)
    ]
    body: dict[str, object] = {"model": MODEL, "messages": messages, "max_tokens": 64}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, separators=(",", ":")).encode()


def json_answer() -> bytes:
    """A whole answer's body."""
    message = {"role": "assistant", "content": "It weighs what it weighs. " * 4, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return json.dumps(_frame("chat.completion") | {"choices": [choice], "usage": USAGE}).encode()


def stream_answer() -> list[bytes]:
    """The events of a streamed answer: chunks, then usage and the end mark in one."""
    chunk = _frame("chat.completion.chunk")
    texts = [
        _event(chunk | {"choices": [{"index": 0, "delta": {"content": " weight"}, "finish_reason": None}]})
        for _ in range(STREAM_CHUNKS)
    ]
    return [*texts, _event(chunk | {"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"]


def _frame(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-B0", "object": kind, "created": 1763000000, "model": MODEL, "system_fingerprint": "fp_0"}


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def words(characters: int, seed: int = 2) -> str:
    """A text of so many characters; the same at every run."""
    return " ".join(random.Random(seed).choices(WORDS, k=characters // 4))[:characters]
