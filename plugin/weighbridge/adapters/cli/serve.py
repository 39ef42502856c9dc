"""`weighbridge serve`: the gateway."""

from __future__ import annotations

import click

from weighbridge.adapters.cli.extras import needs
from weighbridge.adapters.cli.options import common
from weighbridge.adapters.cli.session import settings


@click.command("serve")
@click.option("--host", metavar="H", help="Address to listen on.  [default: 127.0.0.1, or as configured]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.  [default: 4040, or as configured]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve.  [default: 1, or as configured]")
@common
def command(host: str | None, port: int | None, workers: int | None) -> None:
    """Run the gateway: point an SDK's base URL at it."""
    with needs("gateway"):
        from weighbridge.adapters.gateway import serve
    found = settings(host=host, port=port, workers=workers)
    for note in found.notes:
        click.echo(f"weighbridge: {note}", err=True)
    click.echo(f"weighbridge: gateway on http://{found.listen}, store {found.store_shown}", err=True)
    serve(found, found.workers)
