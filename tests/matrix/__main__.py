"""The oldest and newest supported versions, tried: `python tests/matrix [--only NAME ...] [--oldest | --newest]`.

For each row of `rows.py` and each end, an environment of its own gets the project, what its tests
need, and one package at the oldest version that pyproject.toml allows, or at the newest there is.
Everything else is as new as fits.  Prints a table; the status is 1 where a row failed, and the
logs then stay.  It takes half an hour and a package index, so it is no part of the test suite.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from outcome import AGES, Outcome, table
from rows import ROWS
from trial import trial

SHOWN = 60
"""Lines of a failed row's log."""


def main() -> int:
    """Run what was asked for; the status."""
    asked = _arguments()
    python = subprocess.run((asked.python, "-V"), check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    place = asked.keep or Path(tempfile.mkdtemp(prefix="matrix"))
    found: dict[str, dict[str, Outcome]] = {}
    for name in asked.only or ROWS:
        for age in asked.ages or AGES:
            here = place / f"{name}-{age}"
            outcome = trial(ROWS[name], age, here, asked.python, keep=bool(asked.keep))
            found.setdefault(name, {})[age] = outcome
            _tell(f"{name}, {age}", outcome, here / "log")
    print(f"{date.today()}, {python}:\n\n{table(found)}")
    failed = any(outcome.fault for ages in found.values() for outcome in ages.values())
    if not failed and not asked.keep:
        shutil.rmtree(place)
    return int(failed)


def _tell(title: str, outcome: Outcome, log: Path) -> None:
    """Say how it went as it goes, apart from the table."""
    print(f"{title}: {outcome.version}, {outcome.tally} {outcome.fault}", file=sys.stderr, flush=True)
    if outcome.fault:
        print(*log.read_text("utf-8").splitlines()[-SHOWN:], f"All of it: {log}", sep="\n", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests/matrix", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--oldest", dest="ages", action="append_const", const="oldest", help="the oldest alone")
    parser.add_argument("--newest", dest="ages", action="append_const", const="newest", help="the newest alone")
    parser.add_argument("--keep", type=_new, metavar="DIR", help="a new folder, for environments and logs")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to try (default: this one)")
    return parser.parse_args()


def _new(said: str) -> Path:
    """A folder that is not there yet: no report in it is of another run."""
    folder = Path(said).absolute()
    if folder.exists():
        raise argparse.ArgumentTypeError(f"{said} is there already")
    return folder


if __name__ == "__main__":
    sys.exit(main())
