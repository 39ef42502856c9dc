from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from adapters.commands import Run, answer, one_line
from weighbridge.adapters.cli import COMMANDS
from weighbridge.ledger import Store


def test_help_names_every_command(run: Run) -> None:
    text = run("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "--store" in result.stdout or "Commands:" in result.stdout


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from weighbridge.adapters.cli import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\n"
    heavy = "print([m for m in ('redis', 'pydantic', 'tiktoken', 'rich', 'yaml', 'litellm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nosuch",), "nosuch"),
        (("key", "create"), "--team"),
        (("count", "/nowhere/at/all"), "/nowhere/at/all"),
        (("policy", "apply"), "--file"),
        (("policy", "apply", "-f", "/nowhere"), "/nowhere"),
        (("usage", "--by", "colour"), "colour"),
        (("usage", "--since", "yesterday-ish"), "--since"),
        (("usage", "--format", "xml"), "xml"),
        (("key", "create", "--team", "t", "--expires", "2001-01-01"), "--expires"),
        (("key", "create", "--team", "t", "--tag", "notag"), "--tag"),
        (("key", "revoke", "nobody"), "key list"),
        (("budget", "show", "nothing"), "nothing"),
        (("policy", "show", "nothing"), "nothing"),
        (("policy", "delete", "nothing"), "nothing"),
        (("demo", "--store", "redis://localhost"), "--store"),
        (("key", "list", "--store", "mysql://localhost"), "redis://"),
        (("key", "list", "--config", "/nowhere.yaml"), "/nowhere.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_one_line_with_the_fix(run: Run, words: tuple[str, ...], told: str) -> None:
    one_line(run(*words), told)


def test_a_store_that_does_not_answer_is_one_line(run: Run) -> None:
    one_line(run("budget", "list", "--store", "redis://:secret@127.0.0.1:1/0"), "--store")
    assert "secret" not in run("budget", "list", "--store", "redis://:secret@127.0.0.1:1/0").stderr


@pytest.mark.parametrize("words", [("--store", "URL", "key", "list"), ("key", "list", "--store", "URL")])
def test_store_before_and_after_the_command(run: Run, store: Store, url: str, monkeypatch: Any, words: Any) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_STORE", "redis://127.0.0.1:1")
    assert run(*(url if word == "URL" else word for word in words)).exit_code == 0


def test_a_bug_is_one_line_and_debug_shows_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.wiring.store", lambda settings: 1 / 0)
    one_line(run("key", "list"), "ZeroDivisionError", "--debug")
    with pytest.raises(ZeroDivisionError):
        run("--debug", "key", "list")


def test_as_a_module() -> None:
    command = [sys.executable, "-m", "weighbridge.adapters.cli", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("weighbridge")


def test_doctor_finds_a_sound_store(run: Run) -> None:
    found = answer(run("doctor", "--json"))
    assert found["ok"] is True
    checks = {finding["check"]: finding["status"] for finding in found["findings"]}
    assert checks["store"] == checks["redis"] == checks["models"] == checks["vocabulary o200k_base"] == "ok"


@pytest.mark.parametrize(
    ("words", "check"),
    [(("--store", "redis://:secret@127.0.0.1:1"), "store"), (("--config", "/nowhere.yaml"), "settings")],
    ids=["dead store", "no such file"],
)
def test_doctor_says_what_is_wrong(run: Run, words: tuple[str, ...], check: str) -> None:
    result = run("doctor", *words, "--json")
    found = answer(result, status=1)
    assert found["ok"] is False
    assert [finding["check"] for finding in found["findings"] if finding["status"] == "wrong"] == [check]
    assert "secret" not in result.stdout
    assert "Something is wrong" in run("doctor", *words).stdout


def test_serve_hands_its_settings_to_the_gateway(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = pytest.importorskip("weighbridge.adapters.gateway")
    served: list[Any] = []
    monkeypatch.setattr(gateway, "serve", lambda settings, workers: served.append((settings.listen, workers)))
    assert run("serve", "--port", "4999", "--workers", "2").exit_code == 0
    assert run("serve", "--host", "::1").exit_code == 0
    assert served == [("127.0.0.1:4999", 2), ("[::1]:4040", 1)]


def test_serve_refuses_what_cannot_be(run: Run) -> None:
    one_line(run("serve", "--workers", "2", "--store", "memory://"), "memory://")
    one_line(run("serve", "--port", "99999"), "99999")
