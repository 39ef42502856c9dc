"""`weighbridge doctor`: what is configured, what answers, what is wrong, and the fix."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.text import Text

from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.checkup import CHECKUPS
from weighbridge.adapters.cli.finding import Finding
from weighbridge.adapters.cli.session import settings
from weighbridge.core.errors import ConfigError

STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}


@click.command("doctor")
@options.as_json
@options.common
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """What is configured, what answers, what is wrong, and the fix.  Exit status 1: something is wrong."""
    findings = _look()
    wrong = any(finding.status == "wrong" for finding in findings)
    if as_json:
        show.document({"ok": not wrong, "findings": [asdict(finding) for finding in findings]})
    else:
        show.table(("", "what", "found"), [_row(finding) for finding in findings])
        show.line()
        show.line("Something is wrong: see above." if wrong else "Ready to serve.", "bold red" if wrong else "bold")
    ctx.exit(1 if wrong else 0)


def _look() -> list[Finding]:
    """All check-ups; where the settings themselves are wrong, that is the only finding."""
    try:
        found = settings()
    except ConfigError as error:
        place, _, fix = str(error).partition("; ")
        return [Finding("settings", "wrong", place, fix)]
    return [finding for checkup in CHECKUPS for finding in checkup(found)]


def _row(finding: Finding) -> tuple[Text | str, ...]:
    told = Text(finding.detail)
    if finding.fix:
        told.append(f"\n{finding.fix}", style="dim")
    return Text(finding.status, style=STYLES[finding.status]), finding.check, told
