"""What weighbridge costs LiteLLM: the same proxy bare, with LiteLLM's own limits, with our plugin, and wrapped.

`python tests/bench/litellm_plugin.py [--repeat N] [--seconds N] [--kinds json stream]`.  One LiteLLM worker without a
database on one core; load, stand-in and Redis on the other.  The worker is what runs out first, so its CPU time a
request is what it can carry; requests a second say the same with the machine's moods in it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import yaml
from chats import MODEL, bodies
from rig import KINDS, TITLES, Case, Results, Target, free_port, middle, noise, rounds, script, server, table
from rig import redis_server as redis

PACKAGE: Final = Path(__file__).parents[2] / "plugin"
PROXY: Final = "litellm.proxy.proxy_server:app"
POLICIES: Final = {"policies": [{"name": "all", "match": {"user": "*"}, "limit": {"usd": 1e6}, "window": "month"}]}
AUTH: Final = """
from litellm.proxy._types import UserAPIKeyAuth


async def who(request, api_key):
    return UserAPIKeyAuth(api_key=api_key, team_id="bench", user_id="ada"{limits})
"""
LIMITS: Final = ", tpm_limit=10**12, rpm_limit=10**9"
BARE: Final = "LiteLLM"


@dataclass(frozen=True, slots=True)
class Way:
    """A proxy to measure."""

    app: str = PROXY
    plugin: bool = False
    limits: bool = False
    """LiteLLM's own limits of tokens and requests a minute, kept in Redis."""


WAYS: Final = {
    BARE: Way(),
    "with its own limits": Way(limits=True),
    "with the plugin": Way(plugin=True),
    "wrapped": Way("weighbridge.adapters.litellm:app", plugin=True),
}


def lay_out(place: Path, auth: str, config: Any, policies: Any, settings: dict[str, Any]) -> None:
    """Write a proxy's files, `auth` as who.py, and point to them what is started from now on."""
    files = {"config": config, "policies": policies, "weighbridge": {**settings, "policies": "policies.yaml"}}
    for name, document in files.items():
        (place / f"{name}.yaml").write_text(yaml.safe_dump(document))
    (place / "who.py").write_text(auth)
    os.environ |= {
        "CONFIG_FILE_PATH": str(place / "config.yaml"),
        "WEIGHBRIDGE_CONFIG": str(place / "weighbridge.yaml"),
        "WEIGHBRIDGE_DATA_DIR": str(place),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "PYTHONPATH": str(PACKAGE),
    }


@contextmanager
def proxy(name: str, upstream: int, store: str, place: Path) -> Iterator[Target]:
    """LiteLLM in one of the ways."""
    way = WAYS[name]
    place.mkdir()
    auth = AUTH.format(limits=LIMITS if way.limits else "")
    lay_out(place, auth, _config(way, upstream, store), POLICIES, {"store": store})
    port = free_port()
    python = script("")[0]
    command = [python, "-m", "uvicorn", way.app, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    with server(command, port, core=0) as process:
        target = Target(name, port, process, ("Authorization: Bearer sk-of-bench",))
        awake(target)
        yield target


def _config(way: Way, upstream: int, store: str) -> dict[str, Any]:
    params = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-up"}
    settings: dict[str, Any] = {"telemetry": False}
    if way.plugin:
        settings["callbacks"] = "weighbridge.adapters.litellm.plugin"
    if way.limits:
        at = urlsplit(store)
        kept = {"type": "redis", "host": at.hostname, "port": at.port, "mode": "default_off"}
        settings |= {"cache": True, "cache_params": kept}
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"master_key": "sk-a-long-master-key-of-the-bench", "custom_auth": "who.who"},
        "litellm_settings": settings,
    }


def awake(target: Target) -> None:
    """The first answers: LiteLLM imports much of itself for them."""
    name, _, value = target.headers[0].partition(": ")
    headers = {name: value, "content-type": "application/json"}
    url = f"http://127.0.0.1:{target.port}/v1/chat/completions"
    for stream in (False, True) * 20:
        with urlopen(Request(url, bodies(stream)[0], headers), timeout=60) as answer:
            answer.read()


def report(results: Results, cases: list[Case]) -> str:
    """The tables."""
    parts = []
    for kind in dict.fromkeys(case.kind for case in cases):
        asked = [case for case in cases if case.kind == kind]
        connections = " / ".join(str(case.connections) for case in asked)
        head = ["", f"requests a second at c = {connections}", "p50 (us)", "CPU s per 1,000", "added", "RSS MB"]
        parts += [TITLES[kind], "", table(head, [_row(results, name, asked) for name in WAYS]), ""]
    return "\n".join([*parts, f"Noise between rounds: {noise(results):.0%}."])


def _row(results: Results, name: str, cases: list[Case]) -> list[str]:
    def figures(what: str, form: str) -> str:
        return " / ".join(format(middle(results[name, case], what), form) for case in cases)

    added = " / ".join(f"{_added(results, name, case):+.1%}" for case in cases)
    told = figures("rps", ",.0f"), figures("p50", ",.0f"), figures("cpu", ".2f")
    return [name, *told, "" if name == BARE else added, figures("rss", ".0f")]


def _added(results: Results, name: str, case: Case) -> float:
    """CPU time more than bare LiteLLM's: the median over the rounds of what each round says."""
    pairs = zip(results[name, case], results[BARE, case], strict=True)
    return statistics.median(ours.cpu / bare.cpu for ours, bare in pairs) - 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["json"])
    asked = parser.parse_args()
    cases = [Case(kind, connections) for kind in asked.kinds for connections in (1, 16)]
    upstream = free_port()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wbb-")))
        stack.enter_context(server(script("upstream.py", upstream), upstream, core=1))
        store = stack.enter_context(redis(place))
        proxies = (proxy(name, upstream, store, place / str(at)) for at, name in enumerate(WAYS))
        targets = [stack.enter_context(one) for one in proxies]
        print(report(rounds(targets, cases, asked.repeat, asked.seconds), cases))


if __name__ == "__main__":
    main()
