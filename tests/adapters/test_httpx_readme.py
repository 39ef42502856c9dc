"""The README's transports, run as they are written, but for where the providers are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from adapters.crossings import Yard
from adapters.sdks_over import made_with
from gates import journaled
from gateway.provider import ANSWER, PROMPT
from gateway.upstream import until
from weighbridge.ledger import Store

README = Path(__file__).parents[2] / "README.md"
BLOCKS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    if "weighbridge.adapters.httpx" in block
]


def test_there_is_one_for_each_library() -> None:
    assert [len(re.findall(rf"adapters\.{name} import", "".join(BLOCKS))) for name in ("httpx", "httpx2")] == [1, 1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_it_runs(at: Yard, url: str, store: Store, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "adapters.httpx2 " in block and {made_with("anthropic"), made_with("google-genai")} != {"httpx2"}:
        pytest.skip("an SDK here is older than the README: it takes clients of httpx")
    monkeypatch.setenv("WEIGHBRIDGE_STORE", url)
    for name, base in {"OPENAI": f"{at.url}/v1", "ANTHROPIC": at.url, "GOOGLE_GEMINI": at.url}.items():
        monkeypatch.setenv(f"{name}_BASE_URL", base)
    for name in ("OPENAI", "ANTHROPIC", "GEMINI"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-mine")
    known = {entry.id for entry in journaled(store)}
    names: dict[str, Any] = {}
    exec(compile(block, "README.md", "exec"), names)
    names["http"].close() if "http" in names else names["client"].close()

    def charged() -> list[Any]:
        return [entry for entry in journaled(store) if entry.id not in known]

    until(lambda: len(charged()) == at.billed(), "the settlements")
    assert {(entry.team, entry.input, entry.output) for entry in charged()} == {("research", PROMPT, ANSWER)}
