"""Where LiteLLM's own limiter and weighbridge count what, in one proxy: `python tests/bench/litellm_limiter.py`.

A wrapped LiteLLM proxy of one worker, custom auth, no database; its limiter (v3) keeps its counters in a Redis,
weighbridge its own beside them.  Both are read while the provider has the request, and again when it is settled.
The provider is a stand-in: its bill says what it was told to say.  Prompts of chats of text alone are billed by
OpenAI's own rule (the vocabulary, three tokens a message and three before the answer); of the others nobody here
knows the bill, and the table has none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis
import tiktoken
import yaml
from billing import ANSWER, ASKED, GUESSED, MODEL, Body, Provider, serving
from chats import WORDS
from counting import vocabularies
from rig import free_port, redis_server, server, table

from weighbridge.core.ledger import Counters
from weighbridge.ledger import Store
from weighbridge.ledger.open import open_store

LIMIT: Final = 1_000_000
EDGE: Final = 1_000
"""Tokens a minute of the key that is tried at a window's edge."""
CHAT: Final = "/v1/chat/completions"
WINDOW_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 0.7
SETTLED_SECONDS: Final = 5.0
THOUSAND: Final = " ".join(random.Random(2).choices(WORDS, k=1_000))
AUTH: Final = f"""
from litellm.proxy._types import UserAPIKeyAuth


async def who(request, api_key):
    limit = {EDGE} if api_key.endswith("edge") else {LIMIT}
    return UserAPIKeyAuth(api_key=api_key, key_alias=api_key.removeprefix("sk-"), user_id="ada", tpm_limit=limit)
"""
POLICIES: Final = {
    "policies": [
        {"name": "all", "match": {"key": "*"}, "limit": {"tokens": LIMIT}, "window": "lifetime"},
        {"name": "edge", "match": {"key": "*edge"}, "limit": {"tokens": EDGE}, "window": "rolling 1m"},
    ]
}


@dataclass(frozen=True, slots=True)
class Row:
    """A request of the table."""

    title: str
    path: str
    body: Body
    bill: int | None = None
    """Tokens of the prompt, where they are known."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What each has taken: LiteLLM's limiter, and weighbridge (held, and charged), in tokens."""

    litellm: int
    held: int
    spent: int


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


class Stand:
    """The proxy, its provider, and both ledgers."""

    def __init__(self, url: str, provider: Provider, counters: Any, store: Store) -> None:
        self.provider = provider
        self._client = httpx.Client(base_url=url, timeout=60)
        self._counters = counters
        self._store = store

    def ask(self, key: str, path: str, body: Body) -> httpx.Response:
        """A request with a key of its own."""
        names = ("authorization", "x-api-key", "x-goog-api-key")
        headers = dict(zip(names, (f"Bearer sk-{key}", f"sk-{key}", f"sk-{key}"), strict=True))
        return self._client.post(path, json=body, headers=headers)

    def taken(self, key: str) -> Taken:
        """What both have taken from a key's limits."""
        hashed = hashlib.sha256(f"sk-{key}".encode()).hexdigest()
        theirs = int(self._counters.get(f"{{api_key:{hashed}}}:tokens") or 0)
        all_ours = self._store.run(Counters("all")).items()
        ours = next((state for counter, state in all_ours if ("key", key) in counter.scope), None)
        return Taken(theirs, ours.held if ours else 0, ours.spent if ours else 0)

    def sent(self, key: str, row: Row) -> tuple[httpx.Response, Taken, Taken]:
        """A row's answer; what was taken when the provider had it, and when it was settled."""
        seen = [Taken(0, 0, 0)]

        def look() -> None:
            seen[:] = [self.taken(key)]

        self.provider.look, self.provider.prompt = look, GUESSED if row.bill is None else row.bill
        answer = self.ask(key, row.path, row.body)
        if answer.status_code >= 400 and row.bill != 0:
            raise SystemExit(f"{row.title}: {answer.status_code} {answer.text[:300]}")
        return answer, seen[0], self._settled(key)

    def _settled(self, key: str) -> Taken:
        """When nothing changes any more: LiteLLM says nowhere that it has settled."""
        deadline, was = time.monotonic() + SETTLED_SECONDS, self.taken(key)
        since = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.05)
            now = self.taken(key)
            if now != was or now.held:
                was, since = now, time.monotonic()
        return was


@contextmanager
def standing(place: Path) -> Iterator[Stand]:
    """A wrapped LiteLLM proxy with its limiter and ours."""
    with ExitStack() as stack:
        provider = Provider()
        upstream, store_url = stack.enter_context(serving(provider)), stack.enter_context(redis_server(place))
        at, port = urlsplit(store_url), free_port()
        files = {
            "config.yaml": _config(upstream, {"type": "redis", "host": at.hostname, "port": at.port}),
            "policies.yaml": POLICIES,
            "weighbridge.yaml": {"store": store_url, "policies": "policies.yaml", "counting": {"live": "off"}},
        }
        for name, document in files.items():
            (place / name).write_text(yaml.safe_dump(document))
        (place / "who.py").write_text(AUTH)
        os.environ |= {
            "CONFIG_FILE_PATH": str(place / "config.yaml"),
            "WEIGHBRIDGE_CONFIG": str(place / "weighbridge.yaml"),
            "WEIGHBRIDGE_DATA_DIR": str(place),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MODE": "PRODUCTION",
            **{f"{name}_API_KEY": "sk-up" for name in ("OPENAI", "ANTHROPIC", "GEMINI")},
            "OPENAI_API_BASE": f"{upstream}/v1",
            "ANTHROPIC_API_BASE": upstream,
        }
        command = [sys.executable, "-m", "uvicorn", "weighbridge.adapters.litellm:app", "--port", str(port)]
        stack.enter_context(server([*command, "--log-level", "warning", "--no-access-log"], port, core=0))
        store = stack.enter_context(open_store(store_url, clock=lambda: 0, directory=place))
        counters = stack.enter_context(redis.Redis.from_url(store_url))
        yield Stand(f"http://127.0.0.1:{port}", provider, counters, store)


def _config(upstream: str, cache: Body) -> Body:
    def model(name: str, real: str, base: str) -> Body:
        params = {"model": real, "api_base": base, "api_key": "sk-up", "max_retries": 0}
        return {"model_name": name, "litellm_params": params}

    return {
        "model_list": [
            model(MODEL, f"openai/{MODEL}", f"{upstream}/v1"),
            model("silent", f"openai/{MODEL}", f"{upstream}/silent/v1"),
            model("broken", f"openai/{MODEL}", f"{upstream}/broken/v1"),
            model("claude", "anthropic/claude-haiku-4-5", upstream),
            model("gem", "gemini/gemini-2.5-flash", f"{upstream}/v1beta"),
        ],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"master_key": "sk-a-long-master-key-of-the-bench", "custom_auth": "who.who"},
        "litellm_settings": {"telemetry": False, "cache": True, "cache_params": {**cache, "mode": "default_off"}},
    }


def admissions(stand: Stand) -> Iterator[list[str]]:
    """The first table: what each takes for a prompt when it is let in."""
    for number, row in enumerate(rows()):
        answer, taken, _ = stand.sent(f"row-{number}", row)
        told = answer.headers
        ours = f"{int(told['x-weighbridge-input-tokens']):,} ({int(told['x-weighbridge-input-tokens-upper']):,})"
        asked = ASKED if "max" in json.dumps(row.body) else None
        prompt = "" if asked is None else f"{max(0, taken.litellm - asked):,}"
        yield [row.title, f"{taken.litellm:,}", prompt, ours, f"{taken.held:,}", _known(row.bill)]


def outcomes(stand: Stand) -> Iterator[list[str]]:
    """The second table: what is left of it when the call has ended."""
    for number, row in enumerate(endings()):
        _, taken, after = stand.sent(f"end-{number}" if "from" not in row.title else f"end-{number - 1}b", row)
        billed = row.bill + ANSWER if row.bill else 0
        yield [
            row.title,
            f"{taken.litellm:,}",
            f"{after.litellm:,}",
            f"{taken.held:,}",
            f"{after.spent:,}",
            f"{billed:,}",
        ]


def edge(stand: Stand) -> str:
    """Tokens let in around the edge of LiteLLM's window, by each limiter alone."""
    return ""


def _known(bill: int | None) -> str:
    return "" if bill is None else f"{bill:,}"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wbb-") as place, standing(Path(place)) as stand:
        head = ["request", "LiteLLM's limiter took", "of that for the prompt", "weighbridge: prompt (at most)",
                "held", "the prompt's bill"]  # fmt: skip
        print(table(head, admissions(stand)), end="\n\n")
        head = ['chat, "hi"', "LiteLLM's limiter took", "and kept", "weighbridge held", "and charged", "the bill"]
        print(table(head, outcomes(stand)), end="\n\n")


if __name__ == "__main__":
    main()
