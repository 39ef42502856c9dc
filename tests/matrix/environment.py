"""A throwaway virtual environment, made by uv where it is installed, else by venv and pip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import IO, Any

from packaging.utils import canonicalize_name
from packaging.version import Version

STRANGE = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTEST_ADDOPTS")
"""Variables that would lead a trial back to the environment it was started from."""
ENDING = 60
"""Seconds in which interrupted tests may stop their servers."""
LATE = 124
"""The status of a run that took too long, as timeout(1) has it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """One virtual environment; what its commands say goes to the log."""

    folder: Path
    log: IO[str]

    def make(self, python: str) -> None:
        """Create it.  Raises CalledProcessError."""
        self._do(*(("uv", "venv", "-q", "-p", python) if shutil.which("uv") else (python, "-m", "venv")), self.folder)

    def install(self, wanted: Iterable[str]) -> None:
        """Install requirements at the newest versions that fit together.  Raises CalledProcessError."""
        self._do(*self._installer, *wanted)

    def has(self, package: str) -> Version:
        """The version that is installed.  Raises LookupError where it is not."""
        return _found(package, *self.folder.glob("lib/*/site-packages"))

    def released(self, package: str) -> Version:
        """The newest version there is, whatever would fit.  Raises CalledProcessError."""
        shelf = self.folder / "released"
        self._do(*self._installer, "--no-deps", "--target", shelf, package)
        return _found(package, shelf)

    def run(self, *words: str | Path, cwd: Path, within: float) -> int:
        """Run its Python; the status, or LATE after `within` seconds."""
        process = subprocess.Popen((self._python, *words), cwd=cwd, **self._surroundings())
        try:
            status: int = process.wait(within)
            return status
        except subprocess.TimeoutExpired:
            # Not killed at once: pytest stops the servers it started.
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            return LATE
        finally:
            process.kill()

    @property
    def _python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def _installer(self) -> tuple[str | Path, ...]:
        if shutil.which("uv"):
            return ("uv", "pip", "install", "-q", "-p", self._python, "--upgrade")
        return (self._python, "-m", "pip", "install", "-q", "--upgrade")

    def _do(self, *words: str | Path) -> None:
        subprocess.run(words, check=True, **self._surroundings())

    def _surroundings(self) -> dict[str, Any]:
        kept = {name: value for name, value in os.environ.items() if name not in STRANGE}
        return {"env": kept, "stdin": subprocess.DEVNULL, "stdout": self.log, "stderr": subprocess.STDOUT}


def _found(package: str, *places: Path) -> Version:
    name = canonicalize_name(package)
    for known in distributions(path=[str(place) for place in places]):
        if canonicalize_name(known.metadata["Name"]) == name:
            return Version(known.version)
    raise LookupError(f"{package} is not installed")
