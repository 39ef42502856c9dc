"""The examples of plugin/MIDDLEWARE.md, each as it stands there, with clients in front of them."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from adapters.commands import kept_store
from weighbridge.core.ledger import Entries, OpenHolds
from weighbridge.core.policy import parse, shelf
from weighbridge.core.shelves import Put
from weighbridge.ledger import Store

PAGE = Path(__file__).parents[2] / "plugin/MIDDLEWARE.md"
EXAMPLES = dict(
    re.findall(r"^## ([^\n]+)\n.*?^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
)
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
POLICY = {"name": "examples", "match": {"team": "*"}, "limit": {"requests": 2}, "window": "month"}
CHAT = "/v1/chat/completions"
App = Any


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A store that no other test looks at."""
    with kept_store() as found:
        yield found


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}], "usage": USAGE}


async def events(asked: dict[str, Any]) -> AsyncIterator[bytes]:
    yield b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    if asked.get("stream_options", {}).get("include_usage"):
        yield b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples call their model."""
    module = ModuleType("answering")
    module.__dict__.update(answer=answer, events=events)
    monkeypatch.setitem(sys.modules, "answering", module)


@pytest.fixture(params=EXAMPLES)
def app(
    request: pytest.FixtureRequest,
    answering: None,
    store: Store,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[App]:
    source = EXAMPLES[request.param]
    framework = re.search(r"^from (starlette|fastapi|litestar|quart)\b", source, re.MULTILINE)
    if framework:
        pytest.importorskip(framework[1], reason=f"{framework[1]} is not installed: its example is not run")
    monkeypatch.delenv("WEIGHBRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("WEIGHBRIDGE_STORE", url)
    store.run(Put("policies", shelf.write(*parse.policies({"policies": [POLICY]}))))
    file = tmp_path / "example.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("example", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example", module)
    spec.loader.exec_module(module)
    yield module.app


@asynccontextmanager
async def served(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """The app between its startup and its shutdown, as a server runs it."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    life = asyncio.ensure_future(app(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        yield client
    await inbox.put({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await life


@pytest.mark.filterwarnings("ignore")
async def test_an_example_weighs_meters_refuses_and_settles(app: App, store: Store, request: Any) -> None:
    team = re.sub(r"\W", "", request.node.name)
    async with served(app) as client:
        whole = await client.post(CHAT, json=BODY, headers={"x-team": team, "origin": "http://a"})
        streamed = await client.post(CHAT, json={**BODY, "stream": True}, headers={"x-team": team})
        refused = await client.post(CHAT, json=BODY, headers={"x-team": team, "origin": "http://a"})
        wrong = await client.post(CHAT, content=b"{", headers={"x-team": team})
    assert (whole.status_code, whole.json()["usage"]) == (200, USAGE), whole.text
    assert whole.headers["x-weighbridge-decision"] == "admit"
    assert streamed.text.endswith("data: [DONE]\n\n") and "usage" not in streamed.text
    assert (refused.status_code, refused.json()["error"]["weighbridge"]["policy"]) == (429, "examples")
    if "access-control-allow-origin" in whole.headers:
        assert "access-control-allow-origin" in refused.headers and whole.headers["content-encoding"] == "gzip"
    assert wrong.status_code == 400
    entries = [entry for entry in store.run(Entries(most=100_000)) if entry.team == team]
    assert [(e.ending, e.input, e.output) for e in entries] == [("reported", 9, 3)] * 2
    assert store.run(OpenHolds()) == ()


def test_there_is_an_example_of_each() -> None:
    assert list(EXAMPLES) == ["Starlette", "FastAPI", "Litestar", "Quart", "Bare ASGI"]
