"""`weighbridge calibrate`: a few numbers fitted to a user's own bills."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show, traffic
from weighbridge.adapters.cli.accuracy import COLUMNS, figures
from weighbridge.adapters.cli.traffic import Tally
from weighbridge.core.accuracy import Accuracy, Score, accuracy
from weighbridge.core.counting.calibration import UNCALIBRATED, Calibration, Key, document, key_of
from weighbridge.core.errors import ConfigError
from weighbridge.core.exchanges import features
from weighbridge.core.fitting import FOR_ADD, Bill, fit, parted
from weighbridge.core.model import Estimate

MOST_SHOWN: Final = 30
"""Lines shown; the file has all."""


@click.command("calibrate")
@click.argument("file", metavar="TRAFFIC", type=click.Path(dir_okay=False, path_type=Path))
@click.option("-o", "--output", metavar="FILE", required=True, type=click.Path(dir_okay=False, path_type=Path))
@options.as_json
@options.common
def command(file: Path, output: Path, as_json: bool) -> None:
    """Fit the estimates to your own traffic, and say what that is worth on a part held out from the fit.

    The file is used by `counting.calibration: FILE`."""
    bills, tally = _bills(file)
    if not bills:
        raise ConfigError(f"{file} holds no exchange with a bill to fit to")
    today = datetime.fromtimestamp(wiring.clock() / 1000, UTC).date().isoformat()
    known, held = parted(bills)
    partial = fit(known)
    tried = _figures(held, partial)
    reached = sum(bill.key in partial.lines for bill in held)
    calibration = fit(bills, today)
    about = {
        "traffic": {"file": file.name, "rows": tally.rows, "bills": len(bills)},
        "held_out": {"with_a_line": reached, **{name: line.document() for name, line in tried.items()}},
    }
    made = document(calibration, about)
    output.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        show.document({"file": str(output), **made})
    else:
        _tell(output, calibration, len(bills))
        _tell_worth(tried, len(held), reached)
        show.line()
        show.line(f"Use it with `counting: {{calibration: {output}}}` in the configuration.")


def _bills(file: Path) -> tuple[list[Bill], Tally]:
    """What can be fitted to, estimated without any calibration."""
    on, tally = replace(traffic.scale(), calibration=UNCALIBRATED), Tally()
    bills = []
    for exchange, weighed in traffic.countable(traffic.rows(file, on), tally):
        if "file_reference" in features(weighed.call):
            # Its bound is mostly for what is not there, and says nothing about the rest.
            continue
        key = key_of(exchange.where, weighed.call)
        bills.append(Bill(key, weighed.estimate, exchange.billed, exchange.source or exchange.id))
    return bills, tally


def _figures(held: Sequence[Bill], calibration: Calibration) -> Mapping[str, Accuracy]:
    """The bills held out before and after, all of them and those whose estimate was moved."""
    before = [Score("", "", bill.estimate, bill.billed) for bill in held]
    after = [Score("", "", _corrected(bill, calibration), bill.billed) for bill in held]
    moved = [i for i, score in enumerate(after) if score.estimate.tokens != before[i].estimate.tokens]
    parts = {
        "before": before,
        "after": after,
        "moved_before": [before[i] for i in moved],
        "moved_after": [after[i] for i in moved],
    }
    return {name: accuracy(scores) for name, scores in parts.items() if scores}


def _corrected(bill: Bill, calibration: Calibration) -> Estimate:
    line = calibration.lines.get(bill.key)
    return bill.estimate if line is None else line.over(bill.estimate)


def _tell(output: Path, calibration: Calibration, bills: int) -> None:
    lines = calibration.lines
    show.line(f"{len(lines)} lines fitted on {bills:,} bills, written to {output}.", "bold")
    if not lines:
        show.line(f"A line needs {FOR_ADD} bills of one provider, model and sort of content.")
    rows = [
        (key.provider, key.model, _content(key), f"{line.rows:,}", f"{line.add:+,}", f"{line.factor:.3f}",
         f"{line.slack:.2f}")
        for key, line in sorted(lines.items(), key=lambda item: -item[1].rows)
    ]  # fmt: skip
    show.table(("provider", "model", "content", ">bills", ">add", ">factor", ">slack"), rows[:MOST_SHOWN])
    if len(rows) > MOST_SHOWN:
        show.line(f"... and {len(rows) - MOST_SHOWN} more, in the file.", "dim")


def _content(key: Key) -> str:
    words = [word for word, held in (("media", key.media), ("tools", key.tools)) if held]
    return " and ".join(words) or "text"


def _tell_worth(tried: Mapping[str, Accuracy], held: int, reached: int) -> None:
    if tried:
        show.line()
        show.line(f"On {held:,} bills held out while the rest was fitted ({reached:,} of them have a line):")
        show.table(
            ("", *COLUMNS[1:]),
            [(name.replace("_", ", "), f"{line.n:,}", *figures(line)) for name, line in tried.items()],
        )
