"""One row at one age: an environment is made, the row's tests are run in it, and it is gone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from time import monotonic

from environment import Environment
from outcome import Outcome, Tally, fault, tally
from rows import Row
from versions import project

CHECKOUT = Path(__file__).parents[2]
LONGEST = 900
"""Seconds that a row's tests may take."""


def trial(row: Row, age: str, place: Path, python: str, keep: bool) -> Outcome:
    """Try a row at its "oldest" or "newest"; `place`, an absolute path, gets the log, and the environment to `keep`."""
    place.mkdir(parents=True)
    with (place / "log").open("w") as log:
        environment = Environment(place / "venv", log)
        try:
            environment.make(python)
            return _tried(row, age, environment, place / "report.xml")
        except (subprocess.CalledProcessError, LookupError) as error:
            log.write(f"\n{error}\n")
            return Outcome(None, fault="cannot be installed")
        finally:
            if not keep:
                shutil.rmtree(environment.folder, ignore_errors=True)


def _tried(row: Row, age: str, environment: Environment, report: Path) -> Outcome:
    asked = project(CHECKOUT / "pyproject.toml")
    named = asked.oldest(row.package, row.without) if age == "oldest" else None
    released = None if named else environment.released(row.package)
    # First, so that an installer gives way with others before it does with this one.
    environment.install([f"{row.package}=={named}" if named else row.package, *asked.wanted(CHECKOUT, row.without)])
    installed = environment.has(row.package)
    began = monotonic()
    status, found = _tested(row, environment, report)
    return Outcome(installed, found, monotonic() - began, fault(named, installed, status, found), released)


def _tested(row: Row, environment: Environment, report: Path) -> tuple[int, Tally]:
    tests = [f"tests/{test}" for test in row.tests]
    options = ("-q", "-p", "no:cacheprovider", f"--junitxml={report}")
    status = environment.run("-m", "pytest", *options, *tests, cwd=CHECKOUT, within=LONGEST)
    return status, tally(report)
