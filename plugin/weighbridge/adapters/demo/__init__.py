"""The demo: three teams send traffic through the gateway to a stand-in for the providers.

Nothing is printed here: `weighbridge.adapters.cli` tells what happens.
"""

from __future__ import annotations

from weighbridge.adapters.demo.journal import settled
from weighbridge.adapters.demo.stage import Stage, stage
from weighbridge.adapters.demo.teams import settle_in
from weighbridge.adapters.demo.traffic import CALLS, Sent, send_all

__all__ = ["CALLS", "Sent", "Stage", "send_all", "settle_in", "settled", "stage"]
