"""The README does not lie: its first two commands are the ones CI runs, and its command lines are understood."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import click
import pytest

from weighbridge.settings import load_policies

CHECKOUT = Path(__file__).parents[1]
MAIN_JOB = "python3 -m venv .venv && .venv/bin/pip install '.[demo]' && .venv/bin/weighbridge demo --once"
TESTS = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest -n auto"
SHELL = {"console", "sh", "bash", "shell"}


def fenced(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of every fenced block."""
    for block in re.finditer(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield block[1], block[2]


def commands(text: str) -> Iterator[str]:
    """Every shell command line of a Markdown text, continued lines joined, prompts left out."""
    for language, block in fenced(text):
        if language in SHELL:
            prompted = any(line.startswith("$ ") for line in block.splitlines())
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    yield line[2:].strip()
                elif line.strip() and not prompted and not line.startswith("#"):
                    yield line.strip()


def invocations(line: str) -> Iterator[list[str]]:
    """The arguments of every `weighbridge` in a command line."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("();<>|&"):
            command = _without_variables(words)
            if command and command[0].rpartition("/")[2] == "weighbridge":
                yield command[1:]
            # What follows < and > is a file name, not a command.
            words = ["a file:"] if set(word) & set("<>") else []
        else:
            words.append(word)


def _without_variables(words: list[str]) -> list[str]:
    first = next((n for n, word in enumerate(words) if not re.match(r"\w+=", word)), len(words))
    return words[first:]


def understood(arguments: list[str]) -> None:
    """Parse as the command line would, and run nothing.  Raises click.UsageError."""
    from weighbridge.adapters.cli import cli

    command: click.Command = cli
    context = None
    rest = list(arguments)
    with ExitStack() as opened:
        while isinstance(command, click.Group):
            context = opened.enter_context(command.make_context("weighbridge", rest, parent=context))
            _, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None
            command = found
        opened.enter_context(command.make_context(command.name, rest, parent=context))


@cache
def readme() -> str:
    return (CHECKOUT / "README.md").read_text("utf-8")


def test_first_commands_are_the_promised_ones():
    found = list(commands(readme()))
    assert found[0] == MAIN_JOB
    assert TESTS in found


def test_ci_runs_the_readme_s_tests():
    assert TESTS in (CHECKOUT / ".ci/run").read_text("utf-8").splitlines()


def test_every_command_line_is_understood():
    tried = [arguments for line in commands(readme()) for arguments in invocations(line)]
    assert tried
    for arguments in tried:
        understood(arguments)


def test_every_policy_is_understood(tmp_path):
    shown = [block for language, block in fenced(readme()) if language == "yaml" and block.startswith("policies:")]
    for number, block in enumerate(shown):
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        policies, _ = load_policies(file)
        assert policies


def test_every_python_block_compiles():
    for number, (language, block) in enumerate(fenced(readme())):
        if language == "python":
            compile(block, f"README.md, block {number}", "exec")


def test_every_link_to_a_file_leads_somewhere():
    for page in (CHECKOUT / "README.md", CHECKOUT / "plugin/README.md", CHECKOUT / "plugin/TRANSPORTS.md"):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


SPEAK = {
    "plain": ("```\nweighbridge serve\n```\n", []),
    "shell": ("```sh\n# a word\nweighbridge serve\n\nls\n```\n", ["weighbridge serve", "ls"]),
    "prompted": ("```console\n$ weighbridge audit\nok\n```\n", ["weighbridge audit"]),
    "continued": ("```sh\nweighbridge key create \\\n  --team a\n```\n", ["weighbridge key create    --team a"]),
}


@pytest.mark.parametrize(("text", "found"), SPEAK.values(), ids=SPEAK)
def test_commands(text, found):
    assert list(commands(text)) == found


CALLS = {
    "plain": ("weighbridge serve --port 1", [["serve", "--port", "1"]]),
    "of an environment": (".venv/bin/weighbridge demo --once", [["demo", "--once"]]),
    "with a variable": ("WEIGHBRIDGE_STORE=memory:// weighbridge doctor", [["doctor"]]),
    "in a pipe": ("cat a.json | weighbridge count - > out.txt", [["count", "-"]]),
    "twice": ("weighbridge audit && weighbridge usage", [["audit"], ["usage"]]),
    "not at all": ("pip install weighbridge", []),
    "into a file of that name": ("echo > weighbridge", []),
}


@pytest.mark.parametrize(("line", "found"), CALLS.values(), ids=CALLS)
def test_invocations(line, found):
    assert list(invocations(line)) == found


@pytest.mark.parametrize("wrong", [["weigh"], ["serve", "--prot", "1"], ["budget"]])
def test_nonsense_is_not_understood(wrong):
    with pytest.raises(click.UsageError):
        understood(wrong)
