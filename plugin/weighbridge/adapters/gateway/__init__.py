"""`weighbridge serve`: the gateway under uvicorn."""

from __future__ import annotations

import os
import socket
from functools import partial

from weighbridge.core.errors import ConfigError
from weighbridge.settings import Settings

try:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from weighbridge.adapters.gateway.app import Gateway
except ModuleNotFoundError as missing:
    raise ConfigError(
        f"the gateway needs {missing.name}, which is not installed: pip install 'weighbridge[gateway]'"
    ) from missing

SHUTDOWN_SECONDS = 5
"""Longest wait for what is left when open calls have ended: requests that are still being read."""
BACKLOG = 4096


def create(settings: Settings) -> Gateway:
    """The gateway as an ASGI app, for any server."""
    return Gateway(settings)


def serve(settings: Settings, workers: int = 1) -> None:
    """Serve until told to stop (SIGINT, SIGTERM).  Then new calls are refused and open ones may go on for
    `limits.shutdown_seconds`; the same signal again does not wait for them.  Raises ConfigError where the
    address is taken."""
    listening = _listen(settings)
    config = uvicorn.Config(
        partial(Gateway, settings, signals=True),
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=workers,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        # Who may speak for others is decided by `trusted_proxies`, on the address that connected.
        proxy_headers=False,
        date_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        backlog=BACKLOG,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listening])
    else:
        Multiprocess(config, sockets=[listening]).run()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listening = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"{settings.listen} cannot be had ({why}): choose another --port or --host") from error
    listening.set_inheritable(True)
    return listening
