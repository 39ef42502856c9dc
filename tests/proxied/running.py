"""A LiteLLM proxy as somebody runs it: processes of its own, custom auth, no database, a Redis of ours."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from gateway.running import Gateway, environment, redis_server
from gateway.upstream import until
from weighbridge.ledger.open import open_store

START_SECONDS = 240.0
"""LiteLLM imports for seconds, on a machine that has time for it."""
AUTH = """
from litellm.proxy._types import UserAPIKeyAuth


async def who(request, api_key):
    _, _, team = api_key.partition("sk-of-")
    if not team:
        raise ValueError("who are you?")
    return UserAPIKeyAuth(
        api_key=api_key, key_alias=f"key-{team}", team_id=team, user_id="ada", org_id="acme",
        metadata={"tags": ["plan=gold"]},
    )
"""
"""Keys are `sk-of-TEAM`."""


PLAIN = (
    ("fast", "openai/gpt-4o-mini", "{}/v1"),
    ("claude", "anthropic/claude-haiku-4-5", "{}"),
    ("gem", "gemini/gemini-2.5-flash", "{}/v1beta"),
    ("words", "text-completion-openai/gpt-3.5-turbo-instruct", "{}/v1"),
    ("vectors", "openai/text-embedding-3-small", "{}/v1"),
)
"""Groups of one deployment: name, the real model, where it is at the provider's."""
MOODS = ("slow", "flaky", "broken")
"""`flaky-fast` fails once, then answers like `fast`."""
INSTEAD = {"fast": "claude", "claude": "fast", "gem": "fast", "words": "words", "vectors": "vectors"}
"""Who answers where the `broken-` group of a name cannot."""


def key_of(team: str) -> str:
    """A team's key."""
    return f"sk-of-{team}"


def config(upstream: str) -> dict[str, Any]:
    """A LiteLLM configuration: aliases for models that all live at one address."""

    def model(name: str, real: str, base: str, **more: Any) -> dict[str, Any]:
        return {
            "model_name": name,
            "litellm_params": {"model": real, "api_base": base, "api_key": "sk-up", "max_retries": 0, **more},
        }

    return {
        "model_list": [
            *(model(name, real, base.format(upstream)) for name, real, base in PLAIN),
            *(
                model(f"{mood}-{name}", real, base.format(f"{upstream}/{mood}"))
                for mood in MOODS
                for name, real, base in PLAIN
            ),
            model("pictures", "openai/gpt-image-1", f"{upstream}/v1"),
            model("at-azure", "azure/gpt-4o-mini", upstream, api_version="2024-10-21"),
        ],
        "router_settings": {"num_retries": 1, "retry_after": 0, "disable_cooldowns": True,
                            "fallbacks": [{f"broken-{name}": [other]} for name, other in INSTEAD.items()]},
        "general_settings": {
            "master_key": "sk-a-very-long-master-key-of-this-test",
            "custom_auth": "who.who",
            "pass_through_endpoints": [{"path": "/there", "target": upstream, "include_subpath": True}],
        },
        "assistant_settings": {"custom_llm_provider": "openai",
                               "litellm_params": {"api_base": f"{upstream}/v1", "api_key": "sk-up"}},
        "litellm_settings": {"telemetry": False, "cache": True,
                             "cache_params": {"type": "local", "mode": "default_off"}},
    }  # fmt: skip


@contextmanager
def proxied(
    upstream: str, policies: Mapping[str, Any], *, wrapped: bool = True, workers: int = 2, **settings: Any
) -> Iterator[Gateway]:
    """LiteLLM in front of the provider at `upstream`, wrapped or with the plugin alone."""
    with ExitStack() as stack:
        store_url = stack.enter_context(redis_server())
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wbl-")))
        (place / "policies.yaml").write_text(yaml.safe_dump(dict(policies)))
        (place / "who.py").write_text(AUTH)
        settled = config(upstream)
        settled["litellm_settings"]["callbacks"] = "weighbridge.adapters.litellm.plugin"
        (place / "config.yaml").write_text(yaml.safe_dump(settled))
        own = {"store": store_url, "policies": "policies.yaml", **settings}
        (place / "weighbridge.yaml").write_text(yaml.safe_dump(own))
        port = _free_port()
        app = "weighbridge.adapters.litellm:app" if wrapped else "litellm.proxy.proxy_server:app"
        command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--workers", str(workers),
                   "--log-level", "warning"]  # fmt: skip
        environ = {**environment(), **_settings(place, upstream)}
        log = place / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environ, cwd=place)
        stack.callback(_stop, process)
        url = f"http://127.0.0.1:{port}"
        until(lambda: _ready(url, process, log), "LiteLLM to be ready", START_SECONDS)
        store = open_store(store_url, clock=lambda: 0, directory=place)
        stack.callback(store.close)
        yield Gateway(url, store_url, log, store)


def _settings(place: Path, upstream: str) -> dict[str, str]:
    return {
        "CONFIG_FILE_PATH": str(place / "config.yaml"),
        "WEIGHBRIDGE_CONFIG": str(place / "weighbridge.yaml"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "OPENAI_API_KEY": "sk-up",
        "OPENAI_API_BASE": f"{upstream}/v1",
        "ANTHROPIC_API_KEY": "sk-up",
        "ANTHROPIC_API_BASE": upstream,
        "GEMINI_API_KEY": "sk-up",
        "GEMINI_API_BASE": upstream,
    }


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"LiteLLM ended: {log.read_text()}"
    try:
        return httpx.get(f"{url}/health/liveliness", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
