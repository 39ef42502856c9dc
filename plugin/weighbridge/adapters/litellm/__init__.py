"""Weighbridge inside a LiteLLM proxy: the plugin, and LiteLLM's app inside our middleware.

    litellm_settings: {callbacks: weighbridge.adapters.litellm.plugin}
    CONFIG_FILE_PATH=config.yaml uvicorn weighbridge.adapters.litellm:app

The plugin knows who calls and which deployment answers; the app sees every byte that goes out.  Use
`app` where you can: it has the plugin in it.  The store and its policies are those that
WEIGHBRIDGE_STORE or WEIGHBRIDGE_CONFIG name.
"""

from __future__ import annotations

from typing import Any

from weighbridge.core.errors import ConfigError

__all__ = ["app", "plugin"]


def __getattr__(name: str) -> Any:
    """`plugin` and `app`, made at their first use: LiteLLM takes seconds to import."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from weighbridge.adapters.litellm import wrapper
    except ImportError as missing:
        # LiteLLM turns what its proxy lacks into an ImportError that names nothing.
        if (missing.name or "").startswith("weighbridge"):
            raise
        needed = missing.name or "the LiteLLM proxy"
        raise ConfigError(
            f"the LiteLLM plugin needs {needed}, which is not installed: pip install 'weighbridge[litellm]'"
        ) from missing
    if name == "app":
        return wrapper.app()
    wrapper.OFFICE.check()
    return wrapper.PLUGIN
