"""Which packages are tried at their oldest and newest, and by which tests.

A test stands here because it puts the package to use: SDKs over sockets, Redis servers that run,
a LiteLLM proxy.  A row takes a minute or so; LiteLLM's proxy, several.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A package, the tests that try it, below tests/, and the extras that an install for it leaves out."""

    package: str
    tests: tuple[str, ...]
    without: tuple[str, ...] = ()


SDKS = (
    "adapters/test_httpx_sdks.py",
    "adapters/test_httpx_readme.py",
    "gateway/test_sdks.py",
    "gateway/test_sdk_refusals.py",
    "adapters/test_demo.py::test_once_tells_everything_and_ends",
)
TRANSPORTS = (
    "adapters/test_httpx.py",
    "adapters/test_httpx_async.py",
    "adapters/test_httpx_endings.py",
    "adapters/test_httpx_growing.py",
    "adapters/test_httpx_sdks.py",
    "adapters/test_httpx_readme.py",
)
# LiteLLM's proxy asks for newer versions of much of this than weighbridge does.
NO_PROXY = ("litellm",)

ROWS = {
    "litellm": Row("litellm", ("tokenizers/test_modeltable.py", "tokenizers/test_tiktoken.py"), NO_PROXY),
    "litellm[proxy]": Row("litellm", ("proxied", "adapters/test_litellm.py")),
    "openai": Row("openai", SDKS, NO_PROXY),
    "anthropic": Row("anthropic", SDKS),
    "google-genai": Row("google-genai", SDKS),
    "httpx": Row("httpx", (*TRANSPORTS, "counters"), NO_PROXY),
    "httpx2": Row("httpx2", TRANSPORTS, NO_PROXY),
    "redis": Row(
        "redis",
        (
            "ledger/test_contract.py",
            "ledger/test_replies.py",
            "ledger/test_failover.py",
            "ledger/test_multiplexed.py",
        ),
    ),
    "starlette": Row(
        "starlette",
        (
            "adapters/test_asgi.py",
            "adapters/test_asgi_streams.py",
            "adapters/test_middleware_examples.py",
            "gateway/test_check.py",
        ),
        NO_PROXY,
    ),
}
