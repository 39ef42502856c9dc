"""Where LiteLLM's own limiter and weighbridge count what, in one proxy: `python tests/bench/litellm_limiter.py`.

A wrapped LiteLLM proxy of one worker, custom auth, no database; its limiter (v3) keeps its counters in a Redis,
weighbridge its own beside them.  Both are read while the provider has the request, and again when it is settled.
The provider is a stand-in: its bill says what it was told to say.  Prompts of chats of text alone are billed by
OpenAI's own rule (the vocabulary, three tokens a message and three before the answer); of the others nobody here
knows the bill, and the table has none.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis
from billing import ANSWER, ASKED, GUESSED, MODEL, Body, Provider, serving
from litellm_plugin import lay_out
from prompts import CHAT, Row, endings, prompt_tokens, rows
from rig import free_port, redis_server, server, table

from weighbridge.core.ledger import Counters
from weighbridge.ledger import Store
from weighbridge.ledger.open import open_store

LIMIT: Final = 1_000_000
EDGE: Final = 1_000
"""Tokens a minute of the keys that are tried at a window's edge: one is LiteLLM's to limit, one ours."""
THEIRS: Final = "theirs"
OURS: Final = "ours"
WINDOW_SECONDS: Final = 60.0
QUIET_SECONDS: Final = 1.0
EDGE_SECONDS: Final = 3.0
"""How long before and after the edge."""
SETTLED_SECONDS: Final = 5.0
AUTH: Final = f"""
from litellm.proxy._types import UserAPIKeyAuth


async def who(request, api_key):
    limit = {EDGE} if api_key == "sk-{THEIRS}" else {LIMIT}
    return UserAPIKeyAuth(api_key=api_key, key_alias=api_key.removeprefix("sk-"), user_id="ada", tpm_limit=limit)
"""
POLICIES: Final = {
    "policies": [
        {"name": "all", "match": {"key": "*"}, "limit": {"tokens": LIMIT}, "window": "lifetime"},
        {"name": "edge", "match": {"key": OURS}, "limit": {"tokens": EDGE}, "window": "rolling 1m"},
    ]
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What each has taken: LiteLLM's limiter, and weighbridge (held, and charged), in tokens."""

    litellm: int
    held: int
    spent: int


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
        counters = self._store.run(Counters("all"))
        ours = next((state for counter, state in counters if ("key", key) in counter.scope), None)
        return Taken(theirs, ours.held if ours else 0, ours.spent if ours else 0)

    def sent(self, key: str, row: Row) -> tuple[httpx.Response, Taken | None, Taken]:
        """A row's answer; what was taken when the provider had it, if it had, and when it was settled."""
        seen: list[Taken] = []

        def look() -> None:
            seen[:] = [self.taken(key)]

        self.provider.look, self.provider.prompt = look, GUESSED if row.bill is None else row.bill
        answer = self.ask(key, row.path, row.body)
        if answer.status_code >= 400 and row.bill != 0:
            raise SystemExit(f"{row.title}: {answer.status_code} {answer.text[:300]}")
        return answer, seen[0] if seen else None, self._settled(key)

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
        config = _config(upstream, {"type": "redis", "host": at.hostname, "port": at.port})
        lay_out(place, AUTH, config, POLICIES, {"store": store_url, "counting": {"live": "off"}})
        os.environ |= {
            **{f"{name}_API_KEY": "sk-up" for name in ("OPENAI", "ANTHROPIC", "GEMINI")},
            "OPENAI_API_BASE": f"{upstream}/v1",
            "ANTHROPIC_API_BASE": upstream,
        }
        command = [sys.executable, "-m", "uvicorn", "weighbridge.adapters.litellm:app", "--port", str(port)]
        stack.enter_context(server([*command, "--log-level", "warning", "--no-access-log"], port, core=0))
        store = open_store(store_url, clock=lambda: 0, directory=place)
        stack.callback(store.close)
        counters = stack.enter_context(redis.Redis.from_url(store_url))
        if int(counters.info("server")["redis_version"].split(".")[0]) < 7:
            raise SystemExit("LiteLLM's scripts (INCRBYFLOAT) crash Redis 6: put one from 7 on first in PATH")
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
        assert taken is not None
        tokens, upper = (int(answer.headers[f"x-weighbridge-input-tokens{what}"]) for what in ("", "-upper"))
        prompt = "" if "without" in row.title else f"{taken.litellm - ASKED:,}"
        held = f"{taken.held:,}"
        yield [row.title, f"{taken.litellm:,}", prompt, f"{tokens:,} ({upper:,})", held, _known(row.bill)]


def outcomes(stand: Stand) -> Iterator[list[str]]:
    """The second table: what is left of it when the call has ended."""
    for number, row in enumerate(endings()):
        _, taken, after = stand.sent(f"end-{number}", row)
        theirs, ours = ("", "") if taken is None else (f"{taken.litellm:,}", f"{taken.held:,}")
        billed = row.bill + ANSWER if row.bill else 0
        yield [row.title, theirs, f"{after.litellm:,}", ours, f"{after.spent:,}", f"{billed:,}"]


def edge(stand: Stand) -> str:
    """How much of a limit goes by around the edge of LiteLLM's window, where each limits alone."""
    keys, began = (THEIRS, OURS), time.monotonic()
    for key in keys:
        _burst(stand, key, most=10, times=1)
    passed = dict.fromkeys(keys, 0)
    for side in (-EDGE_SECONDS, EDGE_SECONDS):
        _wait_until(began + WINDOW_SECONDS + side)
        for key in keys:
            passed[key] += _burst(stand, key, most=EDGE // 4, times=5)
    within = f"went by within {2 * EDGE_SECONDS:.0f} seconds"
    theirs = f"Of a `tpm_limit` of {EDGE:,}, {passed[THEIRS]:,} tokens {within}"
    return f"{theirs}; of a policy of ours with `window: rolling 1m`, {passed[OURS]:,}."


def _burst(stand: Stand, key: str, most: int, times: int) -> int:
    """Tokens billed for chats sent one after the other."""
    provider = stand.provider
    provider.prompt, before = prompt_tokens("hi"), provider.billed
    for _ in range(times):
        stand.ask(key, CHAT, {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": most})
    return provider.billed - before


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _known(bill: int | None) -> str:
    return "" if bill is None else f"{bill:,}"


HEADS: Final = (
    ("request", "LiteLLM's limiter took", "of that for the prompt", "weighbridge: prompt (at most)", "held",
     "the prompt's bill"),
    ('chat, "hi"', "LiteLLM's limiter took", "and kept", "weighbridge held", "and charged", "the bill"),
)  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wbb-") as place, standing(Path(place)) as stand:
        parts = [table(HEADS[0], admissions(stand)), table(HEADS[1], outcomes(stand)), edge(stand)]
    # The proxy talks on the same output: it is done now.
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
