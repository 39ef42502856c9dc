"""A LiteLLM proxy's owner makes mistakes: they are told in one line, at the start, with the fix."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.running import environment
from proxied.running import config, key_of, proxied

SECONDS = 120
ALONE = (str(Path(sys.executable).with_name("litellm")), "--config", "config.yaml", "--host", "127.0.0.1")
WRAPPED = (sys.executable, "-m", "uvicorn", "weighbridge.adapters.litellm:app")
POLICIES = {"policies": [{"name": "all", "match": {"user": "*"}, "limit": {"usd": 1}, "window": "fortnight"}]}
MISTAKES: dict[str, tuple[dict[str, str], str]] = {
    "a wrong store": ({"WEIGHBRIDGE_STORE": "redi://localhost"}, "WEIGHBRIDGE_STORE: store: must begin with"),
    "no such file": ({"WEIGHBRIDGE_CONFIG": "none.yaml"}, "none.yaml: cannot be read (No such file or directory)"),
    "a wrong policy": ({"WEIGHBRIDGE_CONFIG": "weighbridge.yaml"}, "policies[0].window: must be"),
}


@pytest.mark.parametrize("form", ["alone", "wrapped"])
@pytest.mark.parametrize(("settings", "told"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_at_the_start(settings: dict[str, str], told: str, form: str, tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="needs a LiteLLM proxy: pip install 'weighbridge[litellm]'")
    named = config("http://127.0.0.1:9")
    named["litellm_settings"]["callbacks"] = "weighbridge.adapters.litellm.plugin"
    del named["general_settings"]["custom_auth"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(named))
    (tmp_path / "policies.yaml").write_text(yaml.safe_dump(POLICIES))
    (tmp_path / "weighbridge.yaml").write_text("store: memory://\npolicies: policies.yaml\n")
    command = [*(ALONE if form == "alone" else WRAPPED), "--port", "0"]
    environ = {**environment(), **settings, "CONFIG_FILE_PATH": "config.yaml", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=SECONDS)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    line = next(line for line in reversed(said.splitlines()) if told in line)
    assert form == "alone" or (line.startswith("ERROR:") and "Traceback" not in said), said


def test_a_store_that_cannot_begin_is_told_in_the_log_and_not_to_the_client() -> None:
    pytest.importorskip("fastapi", reason="needs a LiteLLM proxy: pip install 'weighbridge[litellm]'")
    with proxied("http://127.0.0.1:9", {"policies": []}, wrapped=False, workers=1, store="embedded:/proc/no") as proxy:
        headers = {"authorization": f"Bearer {key_of('free')}"}
        chat = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
        answer = httpx.post(f"{proxy.url}/v1/chat/completions", json=chat, headers=headers, timeout=60)
        logged = proxy.log.read_text()
    assert answer.status_code == 503 and "/proc/no" not in answer.text and "log" in answer.text
    assert any(line.startswith("weighbridge cannot begin: ") and "/proc/no" in line for line in logged.splitlines())
    assert "a bug in LiteLLM" not in logged
