"""weighbridge: counts, prices and holds every LLM call before it leaves, and settles it with what it used.

    from weighbridge import Principal, RawCall, Reported, Usage, load, open_guard

    guard = open_guard(load())
    ticket = guard.open(RawCall("openai-chat", body, Principal(team="research")))    # raises Refused
    guard.close(ticket, Reported(Usage(input=2070, output=20)))

Names are fetched at their first use, so importing the package costs next to nothing and needs no extra.
Ways in that belong to a framework have modules of their own in `weighbridge.adapters`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weighbridge.core.admission import Ticket
    from weighbridge.core.errors import ConfigError, Refused, StoreError, WeighbridgeError
    from weighbridge.core.model import CutOff, NeverSent, Principal, RawCall, Reported, Usage
    from weighbridge.guard import AsyncGuard, Guard
    from weighbridge.holding import async_held, held
    from weighbridge.settings import Settings, load
    from weighbridge.wiring import async_guard as open_async_guard
    from weighbridge.wiring import guard as open_guard

    __version__: str

__all__ = [
    "AsyncGuard",
    "ConfigError",
    "CutOff",
    "Guard",
    "NeverSent",
    "Principal",
    "RawCall",
    "Refused",
    "Reported",
    "Settings",
    "StoreError",
    "Ticket",
    "Usage",
    "WeighbridgeError",
    "__version__",
    "async_held",
    "held",
    "load",
    "open_async_guard",
    "open_guard",
]

_HOMES = {
    "AsyncGuard": "weighbridge.guard:AsyncGuard",
    "ConfigError": "weighbridge.core.errors:ConfigError",
    "CutOff": "weighbridge.core.model:CutOff",
    "Guard": "weighbridge.guard:Guard",
    "NeverSent": "weighbridge.core.model:NeverSent",
    "Principal": "weighbridge.core.model:Principal",
    "RawCall": "weighbridge.core.model:RawCall",
    "Refused": "weighbridge.core.errors:Refused",
    "Reported": "weighbridge.core.model:Reported",
    "Settings": "weighbridge.settings:Settings",
    "StoreError": "weighbridge.core.errors:StoreError",
    "Ticket": "weighbridge.core.admission:Ticket",
    "Usage": "weighbridge.core.model:Usage",
    "WeighbridgeError": "weighbridge.core.errors:WeighbridgeError",
    "async_held": "weighbridge.holding:async_held",
    "held": "weighbridge.holding:held",
    "load": "weighbridge.settings:load",
    "open_async_guard": "weighbridge.wiring:async_guard",
    "open_guard": "weighbridge.wiring:guard",
}
"""Where each name lives: module:attribute."""

# Hidden from type checkers, to whom a module with a __getattr__ seems to have every name.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Fetch a name at its first use, and keep it."""
        if name == "__version__":
            from importlib.metadata import version

            value = version("weighbridge")
        elif name in _HOMES:
            from importlib import import_module

            module, _, attribute = _HOMES[name].partition(":")
            value = getattr(import_module(module), attribute)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value
