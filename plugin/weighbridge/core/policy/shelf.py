"""Policies as the store keeps them: one document a policy by its name, the defaults beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighbridge.core.policy import parse
from weighbridge.core.policy.model import Defaults, Policy

DEFAULTS = "\ndefaults"
"""The name the defaults are kept under; no policy can be named so."""


def read(documents: Mapping[str, Any]) -> tuple[tuple[Policy, ...], Defaults]:
    """Policies in the order of their names, and the defaults.  Raises ConfigError."""
    policies = tuple(parse.policy(documents[name]) for name in sorted(documents) if name != DEFAULTS)
    return policies, parse.defaults(documents.get(DEFAULTS, {}))


def write(policies: tuple[Policy, ...], defaults: Defaults) -> dict[str, Any]:
    """The documents of policies and defaults, by name."""
    return {DEFAULTS: parse.defaults_document(defaults), **{p.name: parse.document(p) for p in policies}}
