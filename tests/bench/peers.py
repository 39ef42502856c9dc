"""A peer's counter as a process: `python peers.py litellm|agentscope`, questions and answers as JSON lines.

A question is `{"model", "messages", "tools"}` in OpenAI's words (texts to embed as `text` too), or `{"characters": N}`
for one message of so many; the answer `{"tokens", "seconds", "error"}`.  Nobody may call out: an image by address is
not fetched.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from chats import words

Question = dict[str, Any]


def offline() -> None:
    """No connections; OpenAI's vocabularies from the files that litellm ships, where it is installed."""

    def refuse(*_: Any) -> None:
        raise OSError("the benchmark is offline")

    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
    os.environ["HF_HUB_OFFLINE"] = "1"
    spec = find_spec("litellm")
    if spec and spec.origin:
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(Path(spec.origin).parent / "litellm_core_utils/tokenizers"))


def litellm() -> Callable[[Question], int]:
    """LiteLLM's `token_counter`, with its own choice of tokenizer for the model."""
    import litellm

    litellm.disable_hf_tokenizer_download = True

    def count(question: Question) -> int:
        if question.get("text"):
            return sum(litellm.token_counter(model=question["model"], text=text) for text in question["text"])
        return int(
            litellm.token_counter(
                model=question["model"],
                messages=question["messages"],
                tools=question.get("tools") or None,
                use_default_image_token_count=False,
            )
        )

    return count


def agentscope() -> Callable[[Question], int]:
    """AgentScope's `OpenAITokenCounter`."""
    from agentscope.token import OpenAITokenCounter

    def count(question: Question) -> int:
        counter = OpenAITokenCounter(question["model"])
        return asyncio.run(counter.count(question["messages"], question.get("tools") or None))

    return count


PEERS = {"litellm": litellm, "agentscope": agentscope}


def answered(count: Callable[[Question], int], question: Question) -> dict[str, Any]:
    """One answer; whatever a counter raises, panics of its tokenizer too, is an answer."""
    if "characters" in question:
        text = words(question["characters"])
        question = {"model": question["model"], "messages": [{"role": "user", "content": text}]}
    begun = perf_counter()
    try:
        tokens, error = count(question), ""
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as raised:
        tokens, error = 0, f"{type(raised).__name__}: {raised}"[:200]
    return {"tokens": tokens, "seconds": perf_counter() - begun, "error": error}


def main(name: str) -> None:
    """Answer until there are no more questions."""
    answers = sys.stdout
    sys.stdout = sys.stderr
    offline()
    try:
        count = PEERS[name]()
    except ImportError as error:
        print(json.dumps({"absent": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({"absent": ""}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answered(count, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
