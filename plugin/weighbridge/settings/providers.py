"""The providers weighbridge knows by name, and what a `providers:` block need not say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weighbridge.settings.environment import Unset
from weighbridge.settings.model import OPENAI
from weighbridge.settings.source import Tree


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """What holds for a provider of this name where its block is silent."""

    base_url: str
    """"" where everybody has their own."""
    dialects: tuple[str, ...]
    keys: tuple[str, ...]
    """Variables its key is looked for in."""


BUILT_IN: Mapping[str, BuiltIn] = {
    "openai": BuiltIn("https://api.openai.com", OPENAI, ("OPENAI_API_KEY",)),
    "anthropic": BuiltIn("https://api.anthropic.com", ("anthropic-messages",), ("ANTHROPIC_API_KEY",)),
    "gemini": BuiltIn(
        "https://generativelanguage.googleapis.com", ("gemini-generate",), ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    ),
    "pangu": BuiltIn("", ("pangu-chat",), ("PANGU_TOKEN",)),
}
UNASKED = ("openai", "anthropic", "gemini")
"""Those set up without a `providers:` block."""


def complete(tree: Tree, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Fill in what is known of each provider, and leave out those whose key is not set.

    Answers a note for each left out.  Blocks that are no mappings are left for validation to refuse.
    """
    blocks = tree.data.get("providers")
    if not isinstance(blocks, dict):
        return ()
    notes = []
    for name in list(blocks):
        block = {} if blocks[name] is None else blocks[name]
        if not isinstance(block, dict):
            continue
        if "name" in block:
            raise tree.error(("providers", name, "name"), "unknown setting: a provider's name is its key; drop it")
        blocks[name] = block = {**_known(name, environ), **block, "name": name}
        key = block.get("api_key")
        if isinstance(key, Unset):
            del blocks[name]
            notes.append(f"provider {name} is left out: {key.variable} is not set; export {key.variable}=...")
    return tuple(notes)


def _known(name: Any, environ: Mapping[str, str]) -> dict[str, Any]:
    """The block of a built-in provider."""
    known = BUILT_IN.get(name)
    if known is None:
        return {}
    key = next((environ[variable] for variable in known.keys if environ.get(variable)), Unset(known.keys[0]))
    block: dict[str, Any] = {"dialects": list(known.dialects), "api_key": key, "counter": name}
    return block | {"base_url": known.base_url} if known.base_url else block
