"""`weighbridge reconcile`: the journal held against what a provider says it billed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import click

from weighbridge.adapters.cli import options, show
from weighbridge.adapters.cli.session import ledger
from weighbridge.adapters.cli.usage import journal
from weighbridge.core import invoices
from weighbridge.core.dialects.body import rfc3339
from weighbridge.core.errors import ConfigError
from weighbridge.core.reconciliation import FIGURES, Match, Reconciliation, Sum

DIFFERENT: Final = 1
"""Exit status."""
NAMES: Final = {
    "requests": "requests",
    "input": "input_tokens",
    "output": "output_tokens",
    "cached": "cached_tokens",
    "nano_usd": "nano_usd",
}
"""Figure -> what JSON calls it."""
MOST_MB: Final = 256


def _aliases(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    pairs = dict(text.split("=", 1) for text in values if "=" in text)
    if len(pairs) < len(values):
        raise click.BadParameter("write it as --alias my-deployment=gpt-4o, each name once", ctx, param)
    return pairs


def _share(ctx: click.Context, param: click.Parameter, value: str) -> Fraction:
    try:
        share = Fraction(Decimal(value.removesuffix("%"))) / 100
    except (InvalidOperation, ValueError, OverflowError):
        raise click.BadParameter(f"{value!r} is no percentage; write e.g. 0.5%", ctx, param) from None
    if not 0 <= share <= 1:
        raise click.BadParameter(f"{value!r} is not between 0% and 100%", ctx, param)
    return share


@click.command("reconcile")
@click.argument("files", metavar="INVOICE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--tolerance", default="1%", metavar="P", show_default=True, callback=_share, help="What may differ.")
@click.option("--timezone", metavar="Z", help="Whose days the invoice's dates are.  [default: the provider's]")
@click.option(
    "--alias", "aliases", metavar="NAME=MODEL", multiple=True, callback=_aliases, help="One model, two names."
)
@click.option("--provider", "sellers", metavar="P", multiple=True, help="The configured provider that sent the bill.")
@click.option("--all", "every", is_flag=True, help="Show the days that agree, too.")
@options.as_json
@options.common
def command(
    files: tuple[Path, ...],
    tolerance: Fraction,
    timezone: str | None,
    aliases: Mapping[str, str],
    sellers: tuple[str, ...],
    every: bool,
    as_json: bool,
) -> int:
    """Hold the journal against usage and costs that OpenAI, Anthropic or Google exported (CSV or JSON).

    By day and model, dated names folded.  Exit status 1 where something differs by more than --tolerance."""
    found = Reconciliation([_read(file, timezone) for file in files], aliases, sellers)
    start, end = found.span()
    if not end:
        raise ConfigError("the invoice has no rows: nothing can be held against it")
    with ledger() as store:
        found.settle(journal(store, start, end))
    matches = found.matches()
    wrong = [match for match in matches if match.beyond(tolerance)]
    if as_json:
        show.document(_document(matches, tolerance, found.span()))
    else:
        _tell(matches, matches if every else wrong, len(wrong), tolerance)
    return DIFFERENT if wrong else 0


def _read(file: Path, timezone: str | None) -> invoices.Invoice:
    if file.stat().st_size > MOST_MB * 1024 * 1024:
        raise ConfigError(f"{file} is larger than {MOST_MB} MB; export it by day instead of by minute")
    try:
        return invoices.read(file.read_text("utf-8-sig"), timezone)
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not text in UTF-8; export it as CSV or JSON, unpacked") from None
    except ValueError as error:
        raise ConfigError(f"{error}; write e.g. --timezone Europe/Zurich") from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None


def _document(matches: list[Match], tolerance: Fraction, span: tuple[int, int]) -> dict[str, Any]:
    rows = [_row(match, tolerance) for match in matches]
    return {
        "ok": all(row["ok"] for row in rows),
        "tolerance": float(tolerance),
        "from": rfc3339(span[0]),
        "until": rfc3339(span[1]),
        "rows": rows,
    }


def _row(match: Match, tolerance: Fraction) -> dict[str, Any]:
    beyond = match.beyond(tolerance)
    return {
        "day": match.days(),
        "provider": match.provider,
        "model": match.model,
        "ok": not beyond,
        "differs": [NAMES[figure] for figure in beyond],
        "invoice": {NAMES[figure]: match.invoice.figures[figure] for figure in FIGURES},
        "journal": {NAMES[figure]: match.journal.figures[figure] for figure in FIGURES},
        "difference": {NAMES[figure]: value for figure, value in match.differences().items()},
        "estimated_requests": match.journal.estimated,
        "named": sorted(match.invoice.names | match.journal.names),
    }


def _tell(matches: list[Match], shown: list[Match], wrong: int, tolerance: Fraction) -> None:
    limit = f"{float(tolerance * 100):g} %"
    if not wrong:
        show.line(f"All {len(matches):,} rows, one a day and model, agree within {limit}.", "bold")
    else:
        show.line(f"{wrong:,} of {len(matches):,} rows, one a day and model, differ by more than {limit}.", "bold")
    if not shown:
        return
    show.line("Each figure: the invoice's, and by how much it is above (+) or below (-) the journal's.", "dim")
    columns = ("day", "model", ">requests", ">input", ">output", ">cached", ">cost", "")
    cells = [[m.days(), m.model, *(_cell(m, figure) for figure in FIGURES), _why(m)] for m in shown]
    show.table(columns, [*cells, ["total", "", *_totals(matches), ""]])


def _cell(match: Match, figure: str) -> str:
    billed = match.invoice.figures[figure]
    return "-" if billed is None else _figure(figure, billed, match.differences()[figure])


def _figure(figure: str, billed: int, difference: int) -> str:
    if figure != "nano_usd":
        return f"{billed:,}" + (f" ({difference:+,})" if difference else "")
    sign = "+" if difference > 0 else "-"
    return _dollars(billed) + (f" ({sign}{_dollars(abs(difference))})" if difference else "")


def _dollars(nano: int) -> str:
    return show.dollars(nano) if nano >= 0 else f"-{show.dollars(-nano)}"


def _totals(matches: list[Match]) -> list[str]:
    """Both sides of the rows in which the invoice has the figure."""
    cells = []
    for figure in FIGURES:
        billed = [match.invoice.figures[figure] for match in matches]
        known = [value for value in billed if value is not None]
        difference = sum(match.differences().get(figure, 0) for match in matches)
        cells.append(_figure(figure, sum(known), difference) if known else "-")
    return cells


def _why(match: Match) -> str:
    """What may explain a difference."""
    if not _calls(match.journal):
        return "only in the invoice"
    if not match.invoice.names:
        return "only in the journal"
    return f"{match.journal.estimated:,} estimated" if match.journal.estimated else ""


def _calls(journal: Sum) -> int:
    return journal.figures["requests"] or 0
