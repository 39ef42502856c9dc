"""The matrix of versions: what it reads, what it calls a failure, and that no row of it tries nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from matrix.environment import LATE, Environment
from matrix.outcome import Outcome, Tally, fault, table, tally
from matrix.rows import ROWS
from matrix.versions import Project, project

CHECKOUT = Path(__file__).parents[1]
ASKED = """
[project]
name = "scales"
dependencies = ["iron>=2", "rope"]
[project.optional-dependencies]
crane = ["iron[hook]>=2.5", "scales[winch]"]
winch = ["oil>=1,<2"]
lamp = ["glass~=3.1"]
test = ["scales[crane,lamp]", "chalk>=9"]
"""


@pytest.fixture
def scales(tmp_path: Path) -> Project:
    file = tmp_path / "pyproject.toml"
    file.write_text(ASKED)
    return project(file)


BOUNDS = {
    "the highest of several": ("iron", (), "2.5"),
    "but for what is left out": ("iron", ("crane",), "2"),
    "of an extra's extra": ("oil", (), "1"),
    "compatible releases": ("glass", (), "3.1"),
    "of the tests themselves": ("chalk", ("crane", "lamp"), "9"),
}


@pytest.mark.parametrize(("package", "without", "oldest"), BOUNDS.values(), ids=BOUNDS)
def test_the_oldest(scales: Project, package: str, without: tuple[str, ...], oldest: str) -> None:
    assert scales.oldest(package, without) == Version(oldest)


@pytest.mark.parametrize(("package", "without"), [("rope", ()), ("oil", ("crane",)), ("coal", ())])
def test_nothing_names_an_oldest(scales: Project, package: str, without: tuple[str, ...]) -> None:
    with pytest.raises(LookupError, match=package):
        scales.oldest(package, without)


def test_what_is_installed_for_the_tests(scales: Project) -> None:
    assert scales.wanted(Path("/here"), ("crane",)) == ["-e", "/here[lamp]", "chalk>=9"]


@pytest.mark.parametrize("name", ROWS)
def test_a_row_has_an_oldest_version_and_tests(name: str) -> None:
    row, asked = ROWS[name], project(CHECKOUT / "pyproject.toml")
    assert asked.oldest(row.package, row.without).release > (0,)
    assert row.tests
    assert [test for test in row.tests if not (CHECKOUT / "tests" / test.partition("::")[0]).exists()] == []
    assert set(row.without) <= set(asked.extras)


def test_the_rows_are_the_packages_that_callers_bring() -> None:
    assert {row.package for row in ROWS.values()} == {
        "litellm", "openai", "anthropic", "google-genai", "httpx", "httpx2", "redis", "starlette",
    }  # fmt: skip


ONE, TWO = Version("1"), Version("2")
FAULTS = {
    "all well": (ONE, Version("1.0.0"), 0, Tally(3, 0, 1), ""),
    "any version will do": (None, TWO, 0, Tally(3), ""),
    "another version": (ONE, TWO, 0, Tally(3), "2 was installed, not 1"),
    "a test failed": (ONE, ONE, 1, Tally(3, 1), "tests failed"),
    "skipped, all": (ONE, ONE, 0, Tally(0, 0, 4), "every test was skipped"),
    "no tests": (ONE, ONE, 5, Tally(), "pytest ended with 5"),
    "an end in the middle": (ONE, ONE, 2, Tally(3), "pytest ended with 2"),
}


@pytest.mark.parametrize(("named", "installed", "status", "found", "said"), FAULTS.values(), ids=FAULTS)
def test_what_is_a_failure(named: Version | None, installed: Version, status: int, found: Tally, said: str) -> None:
    assert fault(named, installed, status, found) == said


RUN = """
import pytest

@pytest.fixture
def broken(): raise OSError

def test_passes(): pass
def test_fails(): assert 0
def test_breaks(broken): pass
@pytest.mark.skip
def test_is_skipped(): pass
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Environment]:
    """This very environment, as one of a trial."""
    with (tmp_path / "log").open("w") as log:
        yield Environment(Path(sys.prefix), log)


def test_counts_of_a_real_run(here: Environment, tmp_path: Path) -> None:
    test, report = tmp_path / "test_run.py", tmp_path / "report.xml"
    test.write_text(RUN)
    assert (
        here.run("-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", test, cwd=tmp_path, within=60) == 1
    )
    assert tally(report) == Tally(1, 2, 1)


def test_a_run_that_takes_too_long_may_tidy_up(here: Environment, tmp_path: Path) -> None:
    tidied = tmp_path / "tidied"
    program = f"import time\ntry: time.sleep(60)\nfinally: open({str(tidied)!r}, 'w').close()"
    assert here.run("-c", program, cwd=tmp_path, within=1) == LATE
    assert tidied.exists()


def test_a_run_that_left_no_report(tmp_path: Path) -> None:
    assert tally(tmp_path / "report.xml") == Tally()


def test_the_table() -> None:
    found = {
        "rope": {
            "oldest": Outcome(ONE, Tally(3, 0, 1), 59.6),
            "newest": Outcome(TWO, Tally(2, 1), 2, "tests failed", Version("2.1")),
        },
        "oil": {"newest": Outcome(None, fault="cannot be installed")},
        "coal": {"newest": Outcome(TWO, Tally(1), 1, release=TWO)},
    }
    assert table(found).splitlines() == [
        "| package | oldest | result | newest | result |",
        "| --- | --- | --- | --- | --- |",
        "| `rope` | 1 | 3 passed, 0 failed, 1 skipped, 60 s "
        "| 2 (of 2.1) | **tests failed**: 2 passed, 1 failed, 0 skipped, 2 s |",
        "| `oil` |  |  | none | **cannot be installed**: 0 passed, 0 failed, 0 skipped, 0 s |",
        "| `coal` |  |  | 2 | 1 passed, 0 failed, 0 skipped, 1 s |",
    ]


WRONG = {
    "an unknown row": (("--only", "coal"), "invalid choice: 'coal'"),
    "a folder that is there": (("--keep", "."), ". is there already"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_the_command_says_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    done = subprocess.run((sys.executable, CHECKOUT / "tests/matrix", *words), text=True, capture_output=True)
    assert done.returncode == 2 and said in done.stderr
