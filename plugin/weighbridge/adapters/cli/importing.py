"""`weighbridge import`: another gateway's settings, written as policies."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TextIO

import click
import yaml

from weighbridge.adapters.cli import litellmbase, options, show
from weighbridge.core.catalogue import Catalogue
from weighbridge.core.errors import ConfigError
from weighbridge.core.migration.draft import Note
from weighbridge.core.migration.litellm import Migration, migrate
from weighbridge.modeltable import rows

OF_ENVIRONMENT: Final = "os.environ/"
AMOUNT: Final = re.compile(r"[0-9.]+(e-?[0-9]+)?|[0-9]+(mo|[smhdw])", re.IGNORECASE)
"""What is read from the environment: numbers and durations, never a secret."""
WIDTH: Final = 110
"""Columns of the policies file."""


@click.group("import")
def command() -> None:
    """Policies from another gateway's settings, and what of them has no equal."""


@command.command("litellm")
@click.argument("file", metavar="CONFIG", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--database", metavar="URL", help="LiteLLM's Postgres, for its keys, teams and users; only read.")
@click.option(
    "-o",
    "--output",
    type=click.File("w", encoding="utf-8", lazy=True),
    metavar="FILE",
    help="[default: standard output]",
)
@options.as_json
@options.common
def litellm(file: Path, database: str | None, output: TextIO | None, as_json: bool) -> None:
    """Write the policies that are equal to a LiteLLM config.yaml, and say what has no equal.

    Next: weighbridge policy diff -f FILE, weighbridge replay TRAFFIC -f FILE, weighbridge policy apply -f FILE."""
    document = _resolved(_yaml(file), os.environ)  # noqa: TID251 - LiteLLM's settings, not ours
    catalogue = Catalogue(rows())
    found = migrate(
        document, None if database is None else litellmbase.read(database), lambda m: catalogue.model(m).max_input
    )
    if as_json and output is None:
        return show.document(_document(found))
    written = text(found, file.name)
    if output is None:
        return click.echo(written, nl=False)
    output.write(written)
    if as_json:
        return show.document(_document(found))
    show.line(
        f"{len(found.policies):,} policies in {output.name}, {_unequal(found):,} settings without an equal.", "bold"
    )
    if found.notes:
        show.table(
            ("setting", "", "what"), [(n.where, "no equal" if n.unequal else "written as", n.what) for n in found.notes]
        )


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text in UTF-8") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from None


def _resolved(value: Any, environ: Mapping[str, str]) -> Any:
    """A document with the amounts that it names by a variable, as LiteLLM reads them."""
    match value:
        case dict():
            return {name: _resolved(inner, environ) for name, inner in value.items()}
        case list():
            return [_resolved(inner, environ) for inner in value]
        case str() if value.startswith(OF_ENVIRONMENT):
            found = environ.get(value.removeprefix(OF_ENVIRONMENT), "").strip()
            return found if AMOUNT.fullmatch(found) else value
        case _:
            return value


def _unequal(found: Migration) -> int:
    return sum(note.unequal for note in found.notes)


def _document(found: Migration) -> dict[str, Any]:
    return {
        "policies": found.policies,
        "defaults": found.defaults,
        "notes": [{"setting": n.where, "what": n.what, "no_equal": n.unequal} for n in found.notes],
        "keys": found.keys,
        "models": found.models,
    }


def text(found: Migration, name: str) -> str:
    """The policies file, with what has no equal as comments."""
    parts = [f"# Made from LiteLLM's {name} by `weighbridge import litellm`."]
    parts += _comments("No equal:", [note for note in found.notes if note.unequal])
    parts += _comments("Not quite the same:", [note for note in found.notes if not note.unequal])
    if found.keys:
        parts += [
            "#",
            "# Keys are not brought over, only their names.  New ones:",
            *(f"#   {line}" for line in found.keys),
        ]
    if found.models:
        block = yaml.safe_dump({"models": found.models}, sort_keys=False, default_flow_style=None, width=WIDTH)
        parts += ["#", "# For weighbridge.yaml:", *(f"#   {line}" for line in block.splitlines())]
    body = {"policies": found.policies, "defaults": found.defaults}
    return "\n".join(
        [*parts, "", yaml.safe_dump(body, sort_keys=False, default_flow_style=None, width=WIDTH, allow_unicode=True)]
    )


def _comments(title: str, notes: list[Note]) -> list[str]:
    said = [f"#   {' '.join(note.where.split())}: {' '.join(note.what.split())}" for note in notes]
    return ["#", f"# {title}", *said] if said else []
