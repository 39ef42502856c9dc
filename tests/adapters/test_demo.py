from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytest.importorskip("anthropic")
pytest.importorskip("google.genai")
pytest.importorskip("openai")

DEMO = [sys.executable, "-m", "weighbridge.adapters.cli", "demo"]
PACKAGE = Path(__file__).parents[2] / "plugin"


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where the demo puts its temporary files; a short path, as sockets need."""
    with tempfile.TemporaryDirectory(prefix="wbd") as folder:
        yield Path(folder)


@pytest.fixture
def environ(temporary: Path) -> dict[str, str]:
    """A machine whose proxies, keys and store must not matter, and whose temporary files can be counted."""
    hostile = {
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "OPENAI_API_KEY": "sk-real",
        "OPENAI_BASE_URL": "http://127.0.0.1:1",
        "WEIGHBRIDGE_STORE": "redis://127.0.0.1:1",
        "WEIGHBRIDGE_LISTEN": "127.0.0.1:1",
    }
    return {**os.environ, **hostile, "PYTHONPATH": str(PACKAGE), "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def test_once_tells_everything_and_ends(environ: dict[str, str], temporary: Path) -> None:
    done = subprocess.run([*DEMO, "--once"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout
    assert "stand-in" in told
    # The minute may turn while the interns send, which lets some more of them pass.
    counts = re.search(r"(\d+) requests: (\d+) admitted, (\d+) clamped, (\d+) refused", told)
    assert counts is not None
    total, admitted, clamped, refused = map(int, counts.groups())
    assert total == admitted + clamped + refused == 24
    assert clamped >= 1 and refused >= 5
    assert "failed" not in told
    for reason in ("budget", "model not allowed", "context length", "rate"):
        assert f"refused: {reason}" in told
    for error in ("RateLimitError (429): Policy 'support-month'", "ClientError (429)", "BadRequestError (400)"):
        assert error in told
    assert "PermissionDeniedError (403): Policy 'interns-models' does not allow model 'gpt-4.1'" in told
    for heading in ("estimate against actual", "held against spent", "Budgets"):
        assert heading in told
    assert list(temporary.iterdir()) == [], "nothing is left behind"


@pytest.fixture
def staying(environ: dict[str, str], port: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A demo that stays up, and the words of the curl line it gave."""
    process = subprocess.Popen(
        [*DEMO, "--port", str(port)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if line.startswith("Ctrl-C"):
            break
    curl = told[told.index("curl -i") :].partition("\n\n")[0]
    yield process, shlex.split(curl.replace("\\\n", ""))
    process.kill()
    process.communicate()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_until_told_to_stop(
    staying: tuple[subprocess.Popen[str], list[str]], sign: signal.Signals, temporary: Path
) -> None:
    process, words = staying
    url, authorization, body = words[2], words[4], words[-1]
    name, _, value = authorization.partition(": ")
    reply = httpx.post(url, headers={name: value}, json=json.loads(body), trust_env=False)
    assert reply.status_code == 200
    assert reply.headers["x-weighbridge-decision"] == "admit"
    assert "research-month;usd=" in reply.headers["x-weighbridge-remaining"]
    process.send_signal(sign)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, ""), out
    assert list(temporary.iterdir()) == [], "nothing is left behind"


def test_a_taken_port_is_one_line(environ: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*DEMO, "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["anthropic", "uvicorn", "aiohttp"])
def test_a_missing_extra_is_one_line_with_the_pip_command(environ: dict[str, str], missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom weighbridge.adapters.cli import main; main()"
    command = [sys.executable, "-c", code, "demo", "--once"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert missing in done.stderr and "pip install 'weighbridge[" in done.stderr
