"""Readers: each takes a value out of a document and the path it was found at, and gives what it
means or raises PolicyError with the fix.  Amounts are read exactly, never as floats."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from weighbridge.core.errors import ConfigError
from weighbridge.core.ledger import LARGEST
from weighbridge.core.model import NANO

Path = tuple[str | int, ...]
LONGEST_TEXT = 200
"""Characters of a name or pattern."""


class PolicyError(ConfigError):
    """A policy that cannot be.  `path` leads to the field at fault, e.g. ("policies", 0, "limit", "usd"),
    so that whoever read the file can add the line; `fix` says what is wrong and what to write."""

    def __init__(self, path: Path, fix: str) -> None:
        super().__init__(f"{dotted(path)}: {fix}" if path else fix)
        self.path = path
        self.fix = fix


def dotted(path: Path) -> str:
    """("policies", 0, "limit") as people write it: policies[0].limit"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def shown(value: Any) -> str:
    """A value for an error message, never longer than a line."""
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    written = repr(value)
    return written if len(written) <= 60 else written[:57] + "..."


def unknown(name: Any, known: Any) -> str:
    """What to say of a field nobody knows."""
    near = difflib.get_close_matches(str(name), list(known), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"unknown field {shown(name)}: {hint}"


def mapping(value: Any, path: Path) -> Mapping[Any, Any]:
    """Fields and values."""
    if isinstance(value, Mapping):
        return value
    raise PolicyError(path, f"must be a mapping of fields to values, not {shown(value)}")


def table(value: Any, path: Path, readers: Mapping[str, Callable[[Any, Path], Any]]) -> dict[str, Any]:
    """Each field of a mapping read by its reader; one without a reader is refused."""
    read = {}
    for name, inner in mapping(value, path).items():
        if not isinstance(name, str) or name not in readers:
            raise PolicyError((*path, str(name)), unknown(name, readers))
        read[name] = readers[name](inner, (*path, name))
    return read


def items(value: Any, path: Path) -> tuple[Any, ...]:
    """A list, of anything."""
    if isinstance(value, (list, tuple)):
        return tuple(value)
    raise PolicyError(path, f"must be a list, not {shown(value)}; write it in brackets: `[...]`")


def text(value: Any, path: Path, example: str) -> str:
    """Text that is not empty."""
    if not isinstance(value, str):
        raise PolicyError(path, f'must be text, not {shown(value)}; write e.g. `{path[-1]}: "{example}"`')
    if not value.strip() or value != value.strip():
        raise PolicyError(path, f"must not be empty nor begin or end with a blank; write e.g. `{path[-1]}: {example}`")
    if len(value) > LONGEST_TEXT:
        raise PolicyError(path, f"must not be longer than {LONGEST_TEXT} characters")
    return value


def globs(value: Any, path: Path) -> tuple[str, ...]:
    """A list of shell globs, at least one."""
    read = tuple(text(glob, (*path, index), "*-mini") for index, glob in enumerate(items(value, path)))
    if not read:
        raise PolicyError(path, f"is empty; leave {path[-1]} out, or name at least one pattern")
    return read


def flag(value: Any, path: Path) -> bool:
    """true or false."""
    if isinstance(value, bool):
        return value
    raise PolicyError(path, f"must be true or false, not {shown(value)}")


def one_of(*allowed: str) -> Callable[[Any, Path], str]:
    """A reader of one of these words (those with a blank or a brace are only shown)."""

    def read(value: Any, path: Path) -> str:
        if isinstance(value, str) and value in allowed and not set(value) & set(" {"):
            return value
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise PolicyError(path, f"must be {' or '.join(allowed)}, not {shown(value)}{hint}")

    return read


def shares(value: Any, path: Path) -> tuple[float, ...]:
    """Parts of a limit, each above 0 and at most 1, ascending."""
    read = [share(part, (*path, index)) for index, part in enumerate(items(value, path))]
    if len(set(read)) < len(read):
        raise PolicyError(path, "names a share twice; name each once")
    return tuple(sorted(read))


def share(value: Any, path: Path) -> float:
    """A part of a limit, above 0 and at most 1."""
    number = _decimal(value)
    if number is None or not 0 < float(number) <= 1:
        raise PolicyError(path, f"must be above 0 and at most 1, not {shown(value)}; write 0.8 for 80 %")
    return float(number)


def nano_usd(value: Any, path: Path = ()) -> int:
    """Dollars (a number, or one in text) as exact nano-dollars, 0 or more."""
    return _amount(value, path, 9, 0, f"`{path[-1] if path else 'usd'}: 500`")


def whole(value: Any, path: Path, least: int = 0) -> int:
    """A whole number of `least` or more."""
    return _amount(value, path, 0, least, f"`{path[-1]}: 1000`")


def dollars(nano: int) -> int | str:
    """Nano-dollars as dollars, in the shortest form `nano_usd` reads back exactly."""
    units, rest = divmod(nano, NANO)
    return f"{units}.{rest:09}".rstrip("0") if rest else units


def _amount(value: Any, path: Path, decimals: int, least: int, example: str) -> int:
    """A number times ten to the power of `decimals`, which must come out whole."""
    number = _decimal(value)
    if number is None or number < least:
        kind = "a number" if decimals else "a whole number"
        raise PolicyError(path, f"must be {kind}, {least} or more, not {shown(value)}; write e.g. {example}")
    most = LARGEST // 10**decimals
    if number > most:
        raise PolicyError(path, f"must be at most {most}, not {shown(value)}")
    exact = Context(prec=64, traps=[Inexact, InvalidOperation, Overflow])
    try:
        return int(exact.to_integral_exact(exact.scaleb(number, decimals)))
    except ArithmeticError:
        fix = f"at most {decimals} decimals" if decimals else "no decimals"
        raise PolicyError(path, f"must have {fix}, not {shown(value)}; write e.g. {example}") from None


def _decimal(value: Any) -> Decimal | None:
    """The number as written, exactly; None for what is none, NaN and infinity among it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = Decimal(str(value))
    except (ArithmeticError, ValueError):  # ValueError: an integer of thousands of digits
        return None
    return number if number.is_finite() else None
