"""`weighbridge count`: what a request weighs.  Needs no store and, without `--remote`, no network and no key."""

from __future__ import annotations

from typing import BinaryIO

import click

from weighbridge import wiring
from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.session import raw_call, settings
from weighbridge.core import reply
from weighbridge.core.model import Principal


@click.command("count")
@options.body_file
@options.dialect
@options.model
@click.option("--remote", is_flag=True, help="Ask the provider for its own count; offline where it does not answer.")
@options.as_json
@options.common
def command(file: BinaryIO, dialect: str | None, model: str | None, remote: bool, as_json: bool) -> None:
    """Count the tokens of a request body, from FILE or standard input."""
    raw = raw_call(file, dialect, model, Principal(), counts=True)
    weighed = wiring.count(settings(), raw, "always" if remote else "never")
    estimate = reply.estimate_part(weighed.estimate)
    parts = estimate.pop("parts")
    if as_json:
        show.document({**estimate, "model": weighed.call.model, "dialect": raw.dialect, "parts": parts})
        return
    show.line(f"{estimate['tokens']:,} tokens, at most {estimate['upper']:,}", "bold")
    show.line(f"{weighed.call.model}, {raw.dialect}, counted by {estimate['method']}", "dim")
    rows = [(name, f"{tokens:,}") for name, tokens in parts.items() if tokens]
    if rows:
        show.line()
        show.table(("part", ">tokens"), rows)
