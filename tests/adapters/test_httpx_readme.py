"""The transports' examples, of the README and of their own page, run as they are written, but for where the
providers are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.crossings import Yard
from adapters.sdks_over import made_with
from gates import journaled
from gateway.provider import ANSWER, PROMPT
from weighbridge.core.ledger import OpenHolds
from weighbridge.ledger import Store

CHECKOUT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = dict(EXAMPLE.findall((CHECKOUT / "plugin/TRANSPORTS.md").read_text("utf-8")))
BLOCKS = [
    block
    for block in re.findall(r"```python\n(.*?)```", (CHECKOUT / "README.md").read_text("utf-8"), re.DOTALL)
    if "weighbridge.adapters.httpx" in block
]
EXAMPLES = {f"README {number}": block for number, block in enumerate(BLOCKS)} | PAGE

OVER_HTTPX2 = {"anthropic": "from anthropic import", "google-genai": "from google import genai"}


def test_there_is_one_for_each_library_and_each_sdk() -> None:
    assert [len(re.findall(rf"adapters\.{name} import", "".join(BLOCKS))) for name in ("httpx", "httpx2")] == [1, 1]
    sdks = ["OpenAI", "Anthropic", "google-genai"]
    assert list(PAGE) == [f"{sdk}{way}" for sdk in sdks for way in ("", ", async")] + [
        "litellm, in this process",
        "litellm, async",
    ]


@pytest.mark.parametrize(("name", "block"), EXAMPLES.items(), ids=EXAMPLES)
def test_it_runs(at: Yard, url: str, store: Store, name: str, block: str) -> None:
    sdks = [sdk for sdk, brought in OVER_HTTPX2.items() if brought in block and "adapters.httpx2 " in block]
    if any(made_with(sdk) != "httpx2" for sdk in sdks):
        pytest.skip("an SDK here is older than the example: it takes clients of httpx")
    known = {entry.id for entry in journaled(store)}
    places = {"OPENAI_BASE_URL": f"{at.url}/v1", "ANTHROPIC_BASE_URL": at.url, "GOOGLE_GEMINI_BASE_URL": at.url}
    keys = {f"{provider}_API_KEY": "sk-mine" for provider in ("OPENAI", "ANTHROPIC", "GEMINI")}
    environ = {**os.environ, **places, **keys, "PYTHONPATH": str(CHECKOUT / "plugin"), "WEIGHBRIDGE_STORE": url}
    environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    done = subprocess.run([sys.executable, "-c", block], env=environ, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    charged = [entry for entry in journaled(store) if entry.id not in known]
    assert len(charged) == at.billed() > 0, done.stderr
    assert {(entry.team, entry.input, entry.output) for entry in charged} == {("research", PROMPT, ANSWER)}
    assert not store.run(OpenHolds())
    assert name not in PAGE or "The lorry weighs" in done.stdout
