"""`weighbridge demo`: the whole product, offline."""

from __future__ import annotations

import click

from weighbridge.adapters.cli.extras import needs
from weighbridge.adapters.cli.options import common


@click.command("demo")
@click.option("--once", is_flag=True, help="End when the traffic has passed.")
@click.option("--port", type=click.IntRange(0, 65535), default=4040, show_default=True, help="Where the gateway listens.")
@common
def command(once: bool, port: int) -> None:
    """Start a store, a stand-in for the providers and the gateway; send three teams' traffic; show what happened."""
    with needs("demo"):
        from weighbridge.adapters.demo import run
    run(once=once, port=port)
