"""The fields of a policy document: each a row with the reader that makes its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, get_args

from weighbridge.core.ledger import Unit
from weighbridge.core.policy.model import FIELDS, ContextRule, Mode, ModelRule
from weighbridge.core.policy.reading import (
    Path,
    PolicyError,
    flag,
    globs,
    items,
    mapping,
    nano_usd,
    one_of,
    share,
    shares,
    shown,
    table,
    text,
    whole,
)
from weighbridge.core.policy.window import CALENDAR, SHORTEST_ROLLING, rolling, zone

Reader = Callable[[Any, Path], Any]
LIMITS: Mapping[str, tuple[Unit, Callable[[Any, Path], int]]] = {
    "usd": ("nano_usd", nano_usd),
    "tokens": ("tokens", whole),
    "input_tokens": ("input_tokens", whole),
    "output_tokens": ("output_tokens", whole),
    "requests": ("requests", whole),
    "concurrent": ("calls", whole),
}
WRITTEN: Mapping[Unit, str] = {unit: name for name, (unit, _) in LIMITS.items()}


def ordered(names: Any) -> tuple[str, ...]:
    """FIELDS in their order, then tags by name: however it is written, a counter's scope reads the same."""
    return tuple(sorted(names, key=lambda name: (FIELDS.index(name) if name in FIELDS else len(FIELDS), name)))


def _name(value: Any, path: Path) -> str:
    name = text(value, path, "research-month")
    if any(letter in ",;=" or not letter.isprintable() for letter in name):
        raise PolicyError(path, f"must not contain `,`, `;`, `=` or control characters: {name!r}")
    return name


def _field(name: Any, path: Path) -> str:
    """A name to match on or count per."""
    if isinstance(name, str) and (name in FIELDS or (name.startswith("tag.") and len(name) > len("tag."))):
        return name
    raise PolicyError(path, f"must be one of {', '.join(FIELDS)} or tag.NAME, not {name!r}")


def _match(value: Any, path: Path) -> dict[str, str]:
    read = {}
    for field, glob in mapping(value, path).items():
        name = _field(field, (*path, field))
        read[name] = text(glob, (*path, field), "research")
    return read


def _limit(value: Any, path: Path) -> tuple[Unit, int]:
    read = table(value, path, {name: reader for name, (_, reader) in LIMITS.items()})
    if len(read) != 1:
        found = " and ".join(read) or "none"
        raise PolicyError(path, f"takes one of {', '.join(LIMITS)}, not {found}; write a policy for each limit")
    [(name, amount)] = read.items()
    return LIMITS[name][0], amount


def _window(value: Any, path: Path) -> str:
    written = " ".join(text(value, path, "month").split())
    if written in CALENDAR or written == "lifetime":
        return written
    length = rolling(written)
    if length is None:
        known = f"{', '.join(CALENDAR)}, lifetime or e.g. rolling 5h (s, m, h or d; 366 days at most)"
        raise PolicyError(path, f"must be {known}, not {shown(value)}")
    if length < SHORTEST_ROLLING:
        raise PolicyError(path, f"must be a minute or longer, not {written!r}; write e.g. `window: rolling 60s`")
    return written[: len("rolling ")] + written[len("rolling ") :].replace(" ", "")


def _timezone(value: Any, path: Path) -> str:
    name = text(value, path, "Europe/Zurich")
    try:
        zone(name)
    except ValueError:
        raise PolicyError(path, f"{name!r} is not a time zone; write e.g. `timezone: Europe/Zurich`") from None
    return name


def _per(value: Any, path: Path) -> tuple[str, ...]:
    names = [_field(name, (*path, index)) for index, name in enumerate(items(value, path))]
    if len(set(names)) < len(names):
        raise PolicyError(path, "names a field twice; name each once")
    return ordered(names)


def _context(value: Any, path: Path) -> ContextRule:
    read = table(value, path, {"max_input_tokens": partial(whole, least=1), "on_exceed": _on_exceed})
    if "max_input_tokens" not in read:
        raise PolicyError((*path, "max_input_tokens"), "is missing; write e.g. `max_input_tokens: 32000`")
    action, model = read.get("on_exceed", ("reject", ""))
    return ContextRule(read["max_input_tokens"], action, model)


def _on_exceed(value: Any, path: Path) -> tuple[str, str]:
    action, _, model = text(value, path, "reject").partition(" ")
    model = model.strip()
    if action == "reroute":
        if not model:
            raise PolicyError(path, "must say where to; write e.g. `on_exceed: reroute gpt-4.1`")
        return action, model
    return one_of("reject", "trim", "reroute MODEL")(value, path), ""


def _models(value: Any, path: Path) -> ModelRule:
    read = table(value, path, {"allow": globs, "deny": globs})
    if not read:
        raise PolicyError(path, "names no models; write e.g. `models: {allow: ['*-mini']}`")
    return ModelRule(**read)


def _unpriced(value: Any, path: Path) -> Any:
    if not isinstance(value, Mapping):
        return one_of("reject", "allow", "{usd_per_request: 0.05}")(value, path)
    read = table(value, path, {"usd_per_request": nano_usd})
    if not read:
        raise PolicyError(path, "is missing its price; write e.g. `unpriced_model: {usd_per_request: 0.05}`")
    return read["usd_per_request"]


POLICY: Mapping[str, Reader] = {
    "name": _name,
    "match": _match,
    "limit": _limit,
    "window": _window,
    "timezone": _timezone,
    "per": _per,
    "warn_at": shares,
    "mode": one_of(*get_args(Mode)),
    "hold": one_of("worst_case", "observed"),
    "on_exhausted": one_of("finish", "cut"),
    "max_held_share": share,
    "context": _context,
    "models": _models,
}
DEFAULTS: Mapping[str, Reader] = {
    "clamp_output": flag,
    "unpriced_model": _unpriced,
    "on_store_error": one_of("reject", "admit", "slice"),
}
