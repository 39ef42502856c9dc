"""What came of a trial, and how it is told."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

AGES = ("oldest", "newest")
SEPARATOR = " | "


@dataclass(frozen=True, slots=True)
class Tally:
    """How many tests came out which way."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial: what was installed, how its tests came out in how many seconds, and why it is no good."""

    version: Version | None
    """None where the install failed."""
    tally: Tally = Tally()
    seconds: float = 0
    fault: str = ""
    """Empty where all is well."""
    release: Version | None = None
    """The newest there is, where other packages hold it back."""


def tally(report: Path) -> Tally:
    """Read pytest's JUnit report; a run that died before it wrote one has none of anything."""
    if not report.exists():
        return Tally()
    suites = ET.parse(report).getroot().iter("testsuite")
    counts = [
        {name: int(suite.get(name, 0)) for name in ("tests", "errors", "failures", "skipped")} for suite in suites
    ]
    failed = sum(count["errors"] + count["failures"] for count in counts)
    skipped = sum(count["skipped"] for count in counts)
    return Tally(sum(count["tests"] for count in counts) - failed - skipped, failed, skipped)


def fault(named: Version | None, installed: Version, status: int, found: Tally) -> str:
    """Why a trial is no good, empty where it is.  `status` is pytest's; `named` None takes any version."""
    if named is not None and installed != named:
        return f"{installed} was installed, not {named}"
    if found.failed:
        return "tests failed"
    if status:
        return f"pytest ended with {status}"
    if not found.passed:
        return "every test was skipped"
    return ""


def table(found: Mapping[str, Mapping[str, Outcome]]) -> str:
    """Row -> age -> what came of it, as Markdown."""
    head = ["package", *(word for age in AGES for word in (age, "result"))]
    lines = [head, ["---"] * len(head)]
    lines += [[f"`{name}`", *(cell for age in AGES for cell in _cells(ages.get(age)))] for name, ages in found.items()]
    return "\n".join(f"| {SEPARATOR.join(line)} |" for line in lines)


def _cells(outcome: Outcome | None) -> tuple[str, str]:
    if outcome is None:
        return "", ""
    version = "none" if outcome.version is None else str(outcome.version)
    held = f" (of {outcome.release})" if outcome.release not in (None, outcome.version) else ""
    wrong = f"**{outcome.fault}**: " if outcome.fault else ""
    return f"{version}{held}", f"{wrong}{outcome.tally}, {outcome.seconds:.0f} s"
