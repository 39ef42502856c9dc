"""How answers look: JSON for programs, plain tables for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.policy.budget import amount_text

PIPE_COLUMNS: Final = 10_000
"""Not a terminal: nobody's lines are folded or cut."""
DOLLAR: Final = 1_000_000_000
"""In nano-dollars."""


def console() -> Console:
    """Standard output as it is now."""
    out = Console(highlight=False, markup=False, soft_wrap=False)
    return out if out.is_terminal else Console(highlight=False, markup=False, width=PIPE_COLUMNS, no_color=True)


def document(value: Any) -> None:
    """One JSON document, and nothing else."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def line(text: str = "", style: str = "") -> None:
    """One line."""
    console().print(Text(text, style=style), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table without lines.  A column whose name begins with ">" is set flush right."""
    made = Table(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        header_style="dim",
        show_header=any(name.strip(">") for name in columns),
    )
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    out = console()
    with out.capture() as captured:
        out.print(made)
    click.echo("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()), nl=False)


def dollars(nano: int) -> str:
    """Dollars to the cent; to the millionth where there is less than one."""
    whole, rest = divmod(nano, DOLLAR)
    return f"$0.{rest:09d}"[:9] if 0 < nano < DOLLAR else f"${whole:,}.{rest // 10_000_000:02d}"


def amount(value: int, unit: str) -> str:
    """An amount of a counter; its unit is told where the limit is."""
    return dollars(value) if unit == "nano_usd" else f"{value:,}"


def limit(value: int, unit: str) -> str:
    """A limit, exactly, with its unit."""
    return f"{value:,} at once" if unit == "calls" else amount_text(value, unit)


def moment(ms: int | None, never: str = "never") -> str:
    """A time as people read it."""
    return never if not ms else rfc3339(ms - ms % 1000).replace("T", " ")


def named(pairs: Any) -> str:
    """{"team": "research"} as "team research"."""
    return ", ".join(f"{name} {value or '(none)'}" for name, value in pairs.items())
