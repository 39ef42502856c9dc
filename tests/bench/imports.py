"""What an import costs: `python tests/bench/imports.py [--rounds N]`.

Fresh interpreters, one after the other, the rows of a round in turn; an interpreter that imports nothing
is taken off.  Beside each module stands what it needs by its nature, and what its peers cost.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import Final

ROWS: Final = {
    "the front door": "import weighbridge",
    "its nouns": "from weighbridge import Principal, RawCall, Refused, Usage",
    "a guard, open": "from weighbridge import load, open_guard; open_guard(load(store='memory://'))",
    "the middleware": "import weighbridge.adapters.asgi",
    "starlette": "import starlette.applications, starlette.routing",
    "fastapi": "import fastapi",
    "transports of httpx": "import weighbridge.adapters.httpx",
    "httpx": "import httpx",
    "transports of httpx2": "import weighbridge.adapters.httpx2",
    "httpx2": "import httpx2",
    "the gateway": "import weighbridge.adapters.gateway",
    "the command line": "import weighbridge.adapters.cli",
    "the LiteLLM plugin, named": "import weighbridge.adapters.litellm",
    "litellm": "import litellm",
    "openai": "import openai",
    "anthropic": "import anthropic",
    "google-genai": "from google import genai",
}
"""What is imported -> how."""
NOTHING: Final = "pass"
AIM_MS: Final = 50
"""For the front door."""


def took(code: str) -> float | None:
    """Milliseconds of an interpreter that runs this; None where a package is not installed."""
    begun = perf_counter()
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return None if done.returncode else (perf_counter() - begun) * 1000


def measured(rounds: int) -> dict[str, float]:
    """The median of each row, less that of an interpreter that imports nothing."""
    codes = {"": NOTHING, **{name: code for name, code in ROWS.items() if took(code) is not None}}
    seen: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            found = took(code)
            assert found is not None, f"{code!r} failed"
            seen[name].append(found)
    nothing = median(seen.pop(""))
    return {name: median(times) - nothing for name, times in seen.items()}


def main() -> None:
    """Print a table; fails where the front door is slower than it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9)
    found = measured(parser.parse_args().rounds)
    for name, ms in found.items():
        print(f"{name:28} {ms:8.0f} ms   {ROWS[name]}")
    for name in ROWS.keys() - found.keys():
        print(f"{name:28} not installed")
    sys.exit(found["the front door"] > AIM_MS)


if __name__ == "__main__":
    main()
