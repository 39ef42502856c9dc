"""What pyproject.toml asks for: the requirements of an install, and the oldest version of a package among them."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

TESTS = "test"
"""The extra that has all that the tests need."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project's own name, what it needs, and what its extras add."""

    name: str
    needs: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]

    def within(self, extra: str, without: Collection[str] = ()) -> set[str]:
        """The extra and those it brings along, but for those left out."""
        if extra in without:
            return set()
        brought = (name for need in self.extras[extra] if need.name == self.name for name in need.extras)
        return {extra}.union(*(self.within(name, without) for name in brought))

    def installed(self, extra: str, without: Collection[str] = ()) -> Iterator[Requirement]:
        """Every requirement on other packages that an install with this extra has."""
        yield from self.needs
        for name in sorted(self.within(extra, without)):
            yield from (need for need in self.extras[name] if need.name != self.name)

    def wanted(self, root: Path, without: Collection[str] = ()) -> list[str]:
        """What to tell an installer, so that the checkout and its tests run: `test`, but for the extras left out."""
        extras = self.within(TESTS, without) - {TESTS}
        own = (str(need) for need in self.extras[TESTS] if need.name != self.name)
        return ["-e", f"{root}[{','.join(sorted(extras))}]", *own]

    def oldest(self, package: str, without: Collection[str] = ()) -> Version:
        """The oldest version of a package that the tests' install allows.  Raises LookupError where none is named."""
        needs = [need for need in self.installed(TESTS, without) if need.name == package]
        bounds = [bound for need in needs for bound in _bounds(need)]
        if not bounds:
            raise LookupError(f"no requirement names an oldest {package}")
        # Of several bounds the highest is in force.
        return max(bounds)


def _bounds(need: Requirement) -> Iterator[Version]:
    return (Version(part.version) for part in need.specifier if part.operator in (">=", "==", "~="))


def project(file: Path) -> Project:
    """Read a pyproject.toml."""
    said = tomllib.loads(file.read_text("utf-8"))["project"]
    extras = said.get("optional-dependencies", {})
    return Project(
        said["name"],
        tuple(map(Requirement, said["dependencies"])),
        {name: tuple(map(Requirement, needs)) for name, needs in extras.items()},
    )
