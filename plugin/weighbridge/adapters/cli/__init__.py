"""The command line.  Commands are a table; a command's module is imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import click

from weighbridge.adapters.cli.options import common
from weighbridge.core.errors import Refused, StoreError, WeighbridgeError

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo", "See all of it work: offline, no keys needed, in one command."),
    "serve": ("serve", "Run the gateway."),
    "count": ("count", "Count the tokens of a request body."),
    "check": ("check", "Say what the gate would decide, holding and sending nothing."),
    "accuracy": ("accuracy", "Hold estimates against what recorded traffic was billed."),
    "calibrate": ("calibrate", "Fit the estimates to your own traffic."),
    "replay": ("replay", "What policies would have done to recorded traffic."),
    "policy": ("policy", "Limits and rules: apply, diff, list, show, delete."),
    "key": ("key", "Virtual keys: create, list, revoke."),
    "budget": ("budget", "What is spent, held and left."),
    "usage": ("usage", "What was used, by whom and for how much."),
    "audit": ("audit", "Prove that the ledger's books agree, and mend them."),
    "journal": ("journal", "Every settlement: to an archive, and back."),
    "reconcile": ("reconcile", "Hold the journal against what a provider says it billed."),
    "import": ("importing", "Policies from another gateway's settings: litellm."),
    "doctor": ("doctor", "What is configured, what answers, what is wrong, and the fix."),
}
"""Command -> (its module here, what it does in one line)."""

NO: Final = 1
"""Exit status: the answer is no."""
WRONG: Final = 2
"""Exit status: wrong use, or it could not be done."""
INTERRUPTED: Final = 130
DEBUG_HINT: Final = "this is a bug in weighbridge; `weighbridge --debug ...` shows where, please report it"


class Commands(click.Group):
    """The commands of the table, and their mistakes in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"{__name__}.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **options: Any) -> Any:
        options["standalone_mode"] = False
        given = sys.argv[1:] if args is None else list(args)
        run = partial(super().main, given, prog_name or "weighbridge", *rest, **options)
        sys.exit(_status(run, "--debug" in given))


def _status(run: Callable[[], Any], debug: bool) -> int:
    """Runs a command; its exit status, with what went wrong told on standard error."""
    try:
        answer = run()
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        click.echo(f"weighbridge: {_sentence(error)}", err=True)
        return WRONG
    return answer if isinstance(answer, int) else 0


def _sentence(error: Exception) -> str:
    """What went wrong and the fix, in one line."""
    return " ".join(_words(error).split())


def _words(error: Exception) -> str:
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "weighbridge"
            return f"{error.format_message()} (see `{command} --help`)"
        case click.ClickException():
            return error.format_message()
        case StoreError():
            return f"the ledger's store does not answer: {error}; start it, or name another with --store"
        case Refused():
            return error.message
        case WeighbridgeError():
            return str(error)
        case OSError():
            return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return f"{type(error).__name__}: {error}; {DEBUG_HINT}"


def _version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if not asked:
        return
    try:
        click.echo(f"weighbridge {version('weighbridge')}")
    except PackageNotFoundError:
        click.echo("weighbridge, not installed: run from its source")
    ctx.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.option("--debug", is_flag=True, expose_value=False, help="Show where an error comes from.")
@common
def cli() -> None:
    """Counts, prices and holds every LLM call before it leaves, and settles it with what the provider says it used."""


def main() -> None:
    """The console script."""
    cli.main()
