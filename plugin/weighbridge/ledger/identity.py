"""Which server is at the other end: asked once a connection, so that a restart or a failover is noticed."""

from __future__ import annotations

import re
from typing import Any

WHO = ("INFO", "server")
_RUN_ID = re.compile(rb"run_id:(\w+)")


def identity(reply: Any) -> str:
    """The server's run id, another after every start; "" where the reply has none."""
    found = _RUN_ID.search(reply) if isinstance(reply, bytes) else None
    return found[1].decode() if found else ""
