"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Kept at the root, so that an option means the same before and after the command; the last one holds."""
    if value is not None and param.name is not None:
        ctx.find_root().ensure_object(dict)[param.name] = value


def common(command: F) -> F:
    """`--store` and `--config`, on every command."""
    store = click.option(
        "--store",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="The ledger's store: redis://..., embedded:PATH, memory://  [env: WEIGHBRIDGE_STORE]",
    )
    config = click.option(
        "--config",
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help="The configuration file.  [env: WEIGHBRIDGE_CONFIG]",
    )
    return store(config(command))


as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output, nothing else.")


def _pairs(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    pairs = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals:
            raise click.BadParameter(f"{text!r} is not a tag; write it as --tag run=42", ctx, param)
        pairs[name.strip()] = value.strip()
    return pairs


tags = click.option("--tag", "tags", metavar="K=V", multiple=True, callback=_pairs, help="A tag; may be given again.")
body_file = click.argument("file", type=click.File("rb"), default="-")
dialect = click.option("--dialect", metavar="D", help="The body's wire format; guessed where not given.")
model = click.option("--model", metavar="M", help="The model, where the body does not name it (or another one).")
