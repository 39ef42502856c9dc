"""The oldest and newest supported versions, tried: `python tests/matrix [--only NAME ...] [--oldest | --newest]`.

For each row of `rows.py` and each end, an environment of its own gets the project, what its tests
need, and one package at the oldest version that pyproject.toml allows, or at the newest there is.
Everything else is as new as fits.  Prints a table; the status is 1 where a row failed, its log
then stays.  A few minutes each, so it is no part of the test suite.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from outcome import AGES, Outcome, table
from rows import ROWS
from trial import trial

SHOWN = 60
"""Lines of a failed row's log."""


def main() -> int:
    """Run what was asked for; the status."""
    asked = _arguments()
    kept = asked.keep or Path(tempfile.mkdtemp(prefix="matrix"))
    found: dict[str, dict[str, Outcome]] = {}
    for name in asked.only or ROWS:
        for age in asked.ages or AGES:
            place = kept / f"{name}-{age}"
            outcome = trial(ROWS[name], age, place, asked.python, keep=bool(asked.keep))
            found.setdefault(name, {})[age] = outcome
            _tell(f"{name}, {age}", outcome, place / "log")
    print(table(found))
    return int(any(outcome.fault for ages in found.values() for outcome in ages.values()))


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
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for environments and logs")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to try (default: this one)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
