"""What holds the house up: floors, sizes and habits.  Each check is also fed something it must complain about."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PLUGIN = CHECKOUT / "plugin"
Check = Callable[[str], Iterator[str]]
MOST_LINES = 300
MOST_FUNCTION_LINES = 50
NOT_OURS = re.compile(r"(\.git|\.venv|\..*_cache|\.hypothesis|__pycache__|build|dist|.*\.egg-info)")
CATCH_ALLS = re.compile(r"(utils?|helpers?|common|misc)")
# Written with gaps, so that this file does not complain about itself.
LEFTOVER = re.compile("TO(?:)DO|FIX(?:)ME|XX(?:)X|NotImplemented(?:)Error")
MACHINE = re.compile(
    r"/work(?:)/|/root(?:)/|\.library(?:)/|\.mirror(?:)/|/opt/(?:pypi|wheels)|pypi(?:)\.org|pythonhosted(?:)\.org"
)


def ours(under: Path = CHECKOUT) -> Iterator[Path]:
    """Every file that is committed, or will be."""
    for entry in sorted(under.iterdir()):
        if NOT_OURS.fullmatch(entry.name):
            continue
        if entry.is_dir():
            yield from ours(entry)
        else:
            yield entry


FILES = list(ours())
SOURCES = [file for file in FILES if file.suffix == ".py"]
SCRIPTS = [file for file in FILES if file.suffix == ".lua"]
PRODUCT = [file for file in SOURCES if file.is_relative_to(PLUGIN)]


def complaints(check: Check, files: list[Path]) -> list[str]:
    """What a check has to say, with the file's name before it."""
    texts = ((file.relative_to(CHECKOUT), file.read_text("utf-8", errors="replace")) for file in files)
    return [f"{name}: {said}" for name, text in texts for said in check(text)]


def too_long(text: str) -> Iterator[str]:
    """A file with more lines than anybody reads."""
    lines = text.count("\n") + (not text.endswith("\n"))
    if lines > MOST_LINES:
        yield f"{lines} lines, at most {MOST_LINES}"


def long_functions(text: str) -> Iterator[str]:
    """Functions too long to be seen at once; docstrings do not count."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            prose = node.body[0] if ast.get_docstring(node) else None
            told = prose.end_lineno - prose.lineno + 1 if prose else 0
            lines = node.end_lineno - node.lineno + 1 - told
            if lines > MOST_FUNCTION_LINES:
                yield f"line {node.lineno}: {node.name} has {lines} lines, at most {MOST_FUNCTION_LINES}"


def silent_excepts(text: str) -> Iterator[str]:
    """`except ...: pass`, or `...`: an error nobody will ever hear of."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and all(_says_nothing(statement) for statement in node.body):
            yield f"line {node.lineno}: an error is swallowed; use contextlib.suppress for one that is expected"


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def leftovers(text: str) -> Iterator[str]:
    """Work left for later."""
    for number, line in enumerate(text.splitlines(), 1):
        if LEFTOVER.search(line):
            yield f"line {number}: {line.strip()}"


def machine_paths(text: str) -> Iterator[str]:
    """Places that exist on one machine only."""
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE.search(line):
            yield f"line {number}: {line.strip()[:100]}"


def headless(text: str) -> Iterator[str]:
    """A Lua script that does not open with its contract."""
    lines = text.splitlines()
    head = "\n".join(lines[: next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))])
    if not re.match(r"-- \w+\.lua: ", head):
        yield "does not begin with `-- NAME.lua: what it does`"
    for word in (r"\bKEYS\b", r"\bARGV\b", r"\breturns\b|Never run alone", r"(?i)version:? \d"):
        if not re.search(word, head):
            yield f"nothing in its header fits {word!r}"


def loaded_scripts() -> set[str]:
    """The Lua files that some code of ours names, with or without their ending."""
    texts = {
        node.value.removesuffix(".lua")
        for file in PRODUCT
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {script.stem for script in SCRIPTS if script.stem in texts}


BAD = {
    "long file": (too_long, "x = 1\n" * 301),
    "long function": (long_functions, "def f():\n" + "    x = 1\n" * 50),
    "long method": (long_functions, "class C:\n    async def f(self):\n" + "        x = 1\n" * 50),
    "except pass": (silent_excepts, "try:\n    f()\nexcept ValueError:\n    pass\n"),
    "except dots": (silent_excepts, "try:\n    f()\nexcept ValueError:\n    ...\n"),
    "leftover": (leftovers, "x = 1  # TO" + "DO later\n"),
    "unfinished": (leftovers, "raise NotImplemented" + "Error\n"),
    "machine path": (machine_paths, "see /wor" + "k/shared\n"),
    "registry": (machine_paths, "https://py" + "pi.org/simple\n"),
    "lua without contract": (headless, "-- settle.lua: ends a hold.  Version 1.\nreturn 1\n"),
    "lua without name": (headless, "-- KEYS 1  ARGV 1  returns 1  version 1\nreturn 1\n"),
}


@pytest.mark.parametrize(("check", "text"), BAD.values(), ids=BAD)
def test_checks_complain(check, text):
    assert list(check(text))


GOOD = {
    "300 lines": (too_long, "x = 1\n" * 300),
    "50 lines and a docstring": (long_functions, "def f():\n" + '    """Says.\n\n    More."""\n' + "    x = 1\n" * 49),
    "except that answers": (silent_excepts, "try:\n    f()\nexcept ValueError:\n    x = 1\n"),
}


@pytest.mark.parametrize(("check", "text"), GOOD.values(), ids=GOOD)
def test_checks_are_content(check, text):
    assert not list(check(text))


def test_there_is_something_to_check():
    assert {"guard.py", "model.py", "errors.py"} <= {file.name for file in PRODUCT}
    assert SCRIPTS
    assert Path(__file__) in SOURCES


def test_files_are_short():
    assert not complaints(too_long, SOURCES + SCRIPTS)


def test_functions_are_short():
    assert not complaints(long_functions, SOURCES)


def test_no_error_is_swallowed():
    assert not complaints(silent_excepts, PRODUCT)


def test_nothing_is_left_for_later():
    assert not complaints(leftovers, [file for file in FILES if file.is_relative_to(PLUGIN)])


def test_no_path_of_one_machine():
    assert not complaints(machine_paths, FILES)


def test_no_file_is_a_drawer_for_everything():
    assert not [file for file in FILES if CATCH_ALLS.fullmatch(file.stem)]


def test_lua_files_open_with_their_contract():
    assert not complaints(headless, SCRIPTS)


def test_every_lua_file_is_loaded():
    assert {script.stem for script in SCRIPTS} == loaded_scripts()


def tool(*command: str, cwd: Path = CHECKOUT, text: str | None = None) -> tuple[int, str]:
    """Run a development tool of this environment; its status and what it said."""
    program = shutil.which(command[0], path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    assert program, f"{command[0]} is not installed: pip install -e '.[test]'"
    environ = {**os.environ, "PYTHONPATH": "plugin", "NO_COLOR": "1", "COLUMNS": "200"}
    words = (program, *command[1:])
    done = subprocess.run(words, cwd=cwd, env=environ, input=text, text=True, capture_output=True)
    # Some versions of import-linter colour what they say, whatever they are told.
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def test_floors_hold():
    status, said = tool("lint-imports", "--no-cache")
    assert status == 0, said


TRESPASSES = {
    "Floors: every import points down": ("ledger/door.py", "weighbridge.guard"),
    "Floors inside the core: verbs above nouns": ("core/model.py", "weighbridge.core.pricing"),
    "The core touches nothing": ("core/errors.py", "time"),
    "The guard meets the ledger's Protocol, not Redis, not settings": ("guard.py", "redis"),
    "LiteLLM is imported by its adapter alone": ("scale.py", "litellm"),
    "Rims do not know each other": ("adapters/asgi.py", "weighbridge.adapters.gateway"),
}
"""Contract -> an import that breaks it, and where."""


@pytest.fixture(scope="module")
def trespassed(tmp_path_factory) -> str:
    """What import-linter says of a copy of the package in which every contract is broken."""
    copy = tmp_path_factory.mktemp("house")
    shutil.copytree(PLUGIN, copy / "plugin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", copy)
    for file, module in TRESPASSES.values():
        with (copy / "plugin/weighbridge" / file).open("a") as source:
            source.write(f"\nimport {module}  # noqa\n")
    status, said = tool("lint-imports", "--no-cache", cwd=copy)
    assert status == 1, said
    return said


@pytest.mark.parametrize("contract", TRESPASSES)
def test_a_trespass_is_seen(trespassed, contract):
    assert f"{contract} BROKEN" in trespassed


def test_every_contract_is_tried(trespassed):
    assert " 0 kept" in trespassed


def test_lint():
    status, said = tool("ruff", "check", "--no-cache", ".")
    assert status == 0, said


SLOPPY = {
    "TID251": "import time\n\nprint(time.time())\n",
    "F401": "import json\n",
    "C901": "def f(x):\n" + "".join(f"    if x == {n}:\n        return {n}\n" for n in range(9)),
}


@pytest.mark.parametrize(("rule", "text"), SLOPPY.items(), ids=SLOPPY)
def test_lint_complains(rule, text):
    status, said = tool("ruff", "check", "--no-cache", "--stdin-filename", "plugin/weighbridge/desk.py", "-", text=text)
    assert status == 1 and rule in said


def test_types():
    status, said = tool("mypy")
    assert status == 0, said


def test_types_complain(tmp_path):
    (tmp_path / "sloppy.py").write_text("def f(x): return x\n")
    status, said = tool("mypy", "--cache-dir", os.devnull, str(tmp_path / "sloppy.py"))
    assert status == 1 and "no-untyped-def" in said
