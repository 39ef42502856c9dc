"""`weighbridge demo`: the whole product, offline."""

from __future__ import annotations

import signal
from threading import Event

import click

from weighbridge.adapters.cli import budget, show
from weighbridge.adapters.cli.extras import needs
from weighbridge.adapters.cli.options import common
from weighbridge.core.errors import ConfigError

PORT = 4040
STAND_IN = (
    "The provider is a stand-in on this machine: no key, no network, no money. All the rest is what you would run."
)


@click.command("demo")
@click.option("--once", is_flag=True, help="End when the traffic has passed.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Where the gateway listens.  [default: {PORT}; --once: any]"
)
@common
@click.pass_context
def command(ctx: click.Context, once: bool, port: int | None) -> None:
    """Start a store, a stand-in for the providers and the gateway; send three teams' traffic; show what happened."""
    if "store" in ctx.find_root().ensure_object(dict):
        raise ConfigError("the demo keeps to a store of its own, so that it never touches yours; leave out --store")
    with needs("demo"):
        from weighbridge.adapters import demo
        from weighbridge.adapters.cli import playbill
    # A SIGTERM leaves as little behind as a Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with demo.stage(port or (0 if once else PORT)) as stage:
        keys = demo.settle_in(stage.store)
        show.line("weighbridge demo", "bold")
        show.line(STAND_IN, "dim")
        with playbill.progress(len(demo.CALLS)) as advance:
            sent = [advance(one) for one in demo.send_all(stage.url, keys)]
        settled = demo.settled(stage.store)
        playbill.tell(sent, settled)
        playbill.heading("Budgets, as `weighbridge budget list` shows them")
        budget.tell(budget.reports(stage.store))
        if not once:
            playbill.invite(stage.url, keys["research"])
            _stay()
    if playbill.failures(sent, settled):
        raise ConfigError("some of the demo's calls failed (above); `weighbridge doctor` tells what is missing")


def _stay() -> None:
    """Until Ctrl-C."""
    try:
        Event().wait()
    except KeyboardInterrupt:
        show.line("\nstopped")
