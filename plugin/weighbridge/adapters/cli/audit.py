"""`weighbridge audit`: proof that held is what the open holds add up to, and spent what the journal says."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.session import ledger
from weighbridge.adapters.cli.watching import watching
from weighbridge.core.audit import Audit, auditing
from weighbridge.core.errors import StoreCorrupt
from weighbridge.core.findings import Drift, Finding
from weighbridge.core.flow import Flow
from weighbridge.core.ledger import Counter
from weighbridge.ledger import Store

T = TypeVar("T")
DRIFT_FOUND: Final = 1
"""Exit status."""
LONGEST: Final = 120
"""Letters of a damaged record that are shown."""
MOST_ROWS: Final = 50
"""Rows of a table; --json has them all."""


@click.command("audit")
@click.option("--repair", is_flag=True, help="Mend what is found: differences are added, damaged records kept aside.")
@options.as_json
@options.common
def command(repair: bool, as_json: bool) -> int:
    """Prove the ledger: held = the open holds, spent = the journal.  Exit status 1 where it is not so,
    also where --repair has mended it.

    Calls may go on meanwhile.  Damaged records are taken out by --repair and kept under the store's
    `aside` keys; spending is never lowered below the journal."""
    with ledger() as store, _progress() as told:
        audit = drive(store, auditing(repair=repair, told=told))
    if as_json:
        show.document(document(audit))
    else:
        _tell(audit)
    return 0 if audit.ok else DRIFT_FOUND


def drive(store: Store, flow: Flow[T]) -> T:
    """Runs a flow that asks the ledger only."""
    try:
        verb = next(flow)
        while True:
            try:
                answer = store.run(verb)  # type: ignore[arg-type]
            except StoreCorrupt as error:
                verb = flow.throw(error)
            else:
                verb = flow.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def document(audit: Audit) -> dict[str, Any]:
    """The JSON of CONTRACT section 7; damaged records are rows of `drift` too."""
    made: dict[str, Any] = {
        "ok": audit.ok,
        "checked": {"counters": audit.counters, "holds": audit.holds, "entries": audit.entries},
        "drift": [*map(_drift, audit.drift), *map(_finding, audit.findings)],
    }
    if audit.expired or audit.unproved:
        made["notes"] = {"expired_holds": audit.expired, "unproved_counters": audit.unproved}
    if audit.mended is not None:
        made["repaired"] = {"done": audit.mended, "failed": audit.failed}
    return made


def _drift(drift: Drift) -> dict[str, Any]:
    counter = Counter.parse(drift.counter)
    return {
        "policy": counter.policy,
        "scope": dict(counter.scope),
        "field": drift.number,
        "expected": drift.expected,
        "found": drift.found if isinstance(drift.found, int) else _shown(drift.found),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """A record that is no counter's number: its key and name are the field."""
    return {
        "policy": None,
        "scope": {},
        "field": f"{finding.book} {_shown(finding.name)}".strip(),
        "expected": None,
        "found": _shown(finding.found),
        "what": finding.what,
    }


def _shown(text: str) -> str:
    """A damaged text, fit to be printed."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    printable = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in plain[:LONGEST])
    return printable if len(plain) <= LONGEST else f"{printable}... ({len(plain):,} letters)"


def _tell(audit: Audit) -> None:
    show.line(
        f"{audit.counters:,} counters, {audit.holds:,} open holds and {audit.entries:,} journal entries read.", "bold"
    )
    if audit.expired:
        show.line(f"{audit.expired:,} holds have expired and go back at the next call.", "dim")
    if audit.unproved:
        show.line(f"{audit.unproved:,} counters are not proved: too many calls are open. Audit again later.", "yellow")
    _table(("policy", "scope", "window", "field", ">expected", ">found"), [_cells(d) for d in audit.drift[:MOST_ROWS]])
    _table(("record", "is", "found"), [_record(found) for found in audit.findings[:MOST_ROWS]])
    more = max(0, len(audit.drift) - MOST_ROWS) + max(0, len(audit.findings) - MOST_ROWS)
    if more:
        show.line(f"... and {more:,} more: see --json", "dim")
    show.line()
    show.line(*_verdict(audit))


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if rows:
        show.line()
        show.table(columns, rows)


def _record(found: Finding) -> tuple[str, ...]:
    return (_finding(found)["field"], found.what, _shown(found.found))


def _cells(drift: Drift) -> tuple[str, ...]:
    counter = Counter.parse(drift.counter)
    window = show.moment(counter.start) if counter.end else counter.window or "now"
    scope = show.named(dict(counter.scope)) or "all"
    found = show.amount(drift.found, counter.unit) if isinstance(drift.found, int) else repr(_shown(drift.found))
    return (counter.policy, scope, window, drift.number, show.amount(drift.expected, counter.unit), found)


def _verdict(audit: Audit) -> tuple[str, str]:
    if audit.ok:
        return "The books agree: held is what the open holds add up to, spent is what the journal says.", "green"
    if audit.mended is None:
        return "The books do not agree.  Mend them: weighbridge audit --repair", "red"
    if audit.failed:
        return f"{audit.mended:,} mended, {audit.failed:,} changed meanwhile: audit again.", "yellow"
    return f"{audit.mended:,} mended.  Damaged records are kept in the store, under its `aside` keys.", "green"


@contextmanager
def _progress() -> Iterator[Callable[[str, int], None]]:
    """What is told of rows read; a line that counts them where somebody watches."""
    columns = (SpinnerColumn(), TextColumn("reading {task.description} {task.completed:,}"), TimeElapsedColumn())
    out = Console(stderr=True)
    with watching(*columns, out=out, watched=sys.stderr.isatty()) as progress:
        task = progress.add_task("books", total=None)
        yield lambda book, rows: progress.update(task, description=book, advance=rows)
