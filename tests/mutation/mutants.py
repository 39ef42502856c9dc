"""Every small lie a Lua file can be made to tell, one at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

TOKEN = re.compile(
    r"(?P<comment>--[^\n]*)|(?P<space>\s+)|(?P<string>'(?:\\.|[^'\\])*')|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>==|~=|<=|>=|\.\.\.|\.\.|[-+*/%#<>=(){}\[\];:,.])"
)
BLOCKS = ("break", "do", "else", "elseif", "end", "for", "function", "if", "local", "repeat", "return", "then", "while")
KEYWORDS = frozenset((*BLOCKS, "and", "false", "in", "nil", "not", "or", "true", "until"))
SIGNS: Mapping[str, tuple[str, ...]] = {
    "==": ("~=",),
    "~=": ("==",),
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "+": ("-",),
    "-": ("+",),
    "*": ("/",),
    "/": ("*",),
    "%": ("*",),
}
WORDS: Mapping[str, tuple[str, ...]] = {
    "and": ("or",),
    "or": ("and",),
    "not": ("",),
    "true": ("false",),
    "false": ("true",),
    "min": ("max",),
    "max": ("min",),
    "floor": ("ceil",),
}
COMMANDS: Mapping[str, str] = {
    "HSET": "HDEL",
    "HDEL": "HMGET",
    "ZADD": "ZREM",
    "ZREM": "ZSCORE",
    "INCR": "GET",
    "XREVRANGE": "XRANGE",
    "ZRANGEBYSCORE": "ZREVRANGEBYSCORE",
}
"""A command -> one the server takes with the same words, and that does something else (or nothing).
Any other string gets a letter more."""
STARTS = frozenset(("do", "else", "end", "repeat", "then", ";", ")"))
"""What may stand before a statement."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with one change."""

    file: str
    line: int
    was: str
    """The line (stripped) before and after: what the table of equivalents goes by."""
    now: str
    source: str


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a Lua source, in the order of its lines."""
    tokens = [
        Token(str(found.lastgroup), found[0], found.start(), found.end())
        for found in TOKEN.finditer(source)
        if found.lastgroup not in ("comment", "space")
    ]
    for place, token in enumerate(tokens):
        for start, end, text in MUTATIONS[token.kind](tokens, place):
            yield _mutant(file, source, start, end, text)


def _mutant(file: str, source: str, start: int, end: int, text: str) -> Mutant:
    changed = source[:start] + text + source[end:]
    first = source.rfind("\n", 0, start) + 1
    was = source[first : source.find("\n", end)].strip()
    now = changed[first : changed.find("\n", start + len(text))].strip()
    return Mutant(file, source.count("\n", 0, start) + 1, was, now, changed)


Change = tuple[int, int, str]


def _sign(tokens: list[Token], place: int) -> Iterator[Change]:
    token = tokens[place]
    before = tokens[place - 1]
    unary = token.text == "-" and (before.text in KEYWORDS or (before.kind == "sign" and before.text not in ")]"))
    for text in ("",) if unary else SIGNS.get(token.text, ()):
        yield token.start, token.end, text


def _number(tokens: list[Token], place: int) -> Iterator[Change]:
    token, value = tokens[place], int(tokens[place].text)
    least = 1 if tokens[place - 1].text == "[" else 0
    for other in (value + 1, value - 1):
        if other >= least:
            yield token.start, token.end, str(other)


def _string(tokens: list[Token], place: int) -> Iterator[Change]:
    token = tokens[place]
    text = token.text[1:-1]
    # The words of an error are for people.
    if " " in text and not text[0].isdigit() and re.search("[a-z]{2}", text):
        return
    yield token.start, token.end, f"'{COMMANDS.get(text, text + 'x')}'"


def _name(tokens: list[Token], place: int) -> Iterator[Change]:
    token = tokens[place]
    for text in WORDS.get(token.text, ()):
        yield token.start, token.end, text
    if token.text not in KEYWORDS and (end := _call_ends(tokens, place)):
        yield token.start, end, "do end"


def _call_ends(tokens: list[Token], place: int) -> int:
    """Where the call that is a statement and begins here ends; 0 where none does."""
    before = tokens[place - 1] if place else Token("sign", ";", 0, 0)
    ends_an_expression = before.kind in ("string", "number") or (before.kind == "name" and before.text not in KEYWORDS)
    if not (before.text in STARTS or ends_an_expression):
        return 0
    opens = place + 1
    while tokens[opens].text == ".":
        opens += 2
    if tokens[opens].text != "(":
        return 0
    depth = 0
    for token in tokens[opens:]:
        depth += (token.text in ("(", "{")) - (token.text in (")", "}"))
        if not depth:
            return token.end
    return 0


MUTATIONS: Mapping[str, Callable[[list[Token], int], Iterator[Change]]] = {
    "sign": _sign,
    "number": _number,
    "string": _string,
    "name": _name,
}
