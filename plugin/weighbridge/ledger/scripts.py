"""The Lua files, loaded and named by their hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """One verb as the server runs it."""

    source: str
    sha: str


def _load(*names: str) -> Script:
    folder = files("weighbridge.ledger") / "lua"
    source = "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in names)
    return Script(source, sha1(source.encode(), usedforsecurity=False).hexdigest())


SCRIPTS: Mapping[str, Script] = {
    "reserve": _load("books", "histories", "sweep", "asked", "reserve"),
    "extend": _load("books", "histories", "sweep", "asked", "extend"),
    "settle": _load("books", "histories", "sweep", "settle"),
    "renew": _load("books", "renew"),
    "void": _load("books", "histories", "sweep", "void"),
    "put": _load("put"),
    "recount": _load("books", "recount"),
    "mend": _load("books", "mend"),
    "learn": _load("learn"),
}
"""By verb, which comes last: what is before it are its preludes, which never run alone."""
