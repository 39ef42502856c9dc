"""What weighbridge costs LiteLLM: the same proxy without us, with the plugin, and wrapped.

`python tests/bench/litellm_plugin.py [--repeat N] [--seconds N]`.  One LiteLLM worker without a database on one core,
load and stand-in on the other; weighbridge with an embedded Redis, one budget in force.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import yaml
from chats import MODEL, bodies
from rig import KINDS, TITLES, Case, Results, Target, free_port, middle, noise, rounds, script, server, table

PACKAGE: Final = Path(__file__).parents[2] / "plugin"
WAYS: Final = {
    "LiteLLM": ("litellm.proxy.proxy_server:app", False),
    "with the plugin": ("litellm.proxy.proxy_server:app", True),
    "wrapped": ("weighbridge.adapters.litellm:app", True),
}
"""Name -> (the app, whether the plugin is among the callbacks)."""
POLICIES: Final = {"policies": [{"name": "all", "match": {"user": "*"}, "limit": {"usd": 1e6}, "window": "month"}]}
AUTH: Final = """
from litellm.proxy._types import UserAPIKeyAuth


async def who(request, api_key):
    return UserAPIKeyAuth(api_key=api_key, team_id="bench", user_id="ada")
"""


@contextmanager
def proxy(name: str, upstream: int, place: Path) -> Iterator[Target]:
    """LiteLLM in one of the ways."""
    app, plugin = WAYS[name]
    place.mkdir()
    (place / "who.py").write_text(AUTH)
    (place / "policies.yaml").write_text(yaml.safe_dump(POLICIES))
    own = {"store": f"embedded:{place}/store", "policies": "policies.yaml"}
    (place / "weighbridge.yaml").write_text(yaml.safe_dump(own))
    params = {"model": f"openai/{MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "sk-up"}
    config: dict[str, Any] = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"master_key": "sk-a-long-master-key-of-the-bench", "custom_auth": "who.who"},
        "litellm_settings": {"telemetry": False},
    }
    if plugin:
        config["litellm_settings"]["callbacks"] = "weighbridge.adapters.litellm.plugin"
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    os.environ |= {
        "CONFIG_FILE_PATH": str(place / "config.yaml"),
        "WEIGHBRIDGE_CONFIG": str(place / "weighbridge.yaml"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "PYTHONPATH": str(PACKAGE),
    }
    port = free_port()
    command = [*script("")[:1], "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    with server(command, port, core=0) as process:
        target = Target(name, port, process, ("Authorization: Bearer sk-of-bench",))
        awake(target)
        yield target


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
        rows = [_row(results, name, [case for case in cases if case.kind == kind]) for name in WAYS]
        connections = " / ".join(str(case.connections) for case in cases if case.kind == kind)
        head = ["", f"requests a second at c = {connections}", "of LiteLLM's", "p50 (us)", "CPU s per 1,000", "RSS MB"]
        parts += [TITLES[kind], "", table(head, rows), ""]
    return "\n".join([*parts, f"Noise between rounds: {noise(results):.0%}."])


def _row(results: Results, name: str, cases: list[Case]) -> list[str]:
    def figures(what: str, form: str) -> str:
        return " / ".join(format(middle(results[name, case], what), form) for case in cases)

    shares = (middle(results[name, case], "rps") / middle(results["LiteLLM", case], "rps") for case in cases)
    share = " / ".join(f"{share:.0%}" for share in shares)
    return [name, figures("rps", ",.0f"), share, figures("p50", ",.0f"), figures("cpu", ".2f"), figures("rss", ".0f")]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["json"])
    asked = parser.parse_args()
    cases = [Case(kind, connections) for kind in asked.kinds for connections in (1, 16)]
    upstream = free_port()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wbb-")))
        stack.enter_context(server(script("upstream.py", upstream), upstream, core=1))
        targets = [stack.enter_context(proxy(name, upstream, place / str(at))) for at, name in enumerate(WAYS)]
        print(report(rounds(targets, cases, asked.repeat, asked.seconds), cases))


if __name__ == "__main__":
    main()
