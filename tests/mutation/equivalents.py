"""Mutants that no test can tell from the original, each with the reason.

The key is (file, the line, the line as mutated), so that it moves with the code.  `lua.py` says
which rows are stale: their line is gone, or a test does tell them apart.
"""

from __future__ import annotations

from collections.abc import Mapping

Rows = Mapping[tuple[str, str], str]
"""(Lines before, mutated) -> why nothing can tell."""

_NO_NUMBER = "what is not there is no number, whatever the word for it"
_OVERLAP = "chunks overlap, and what is read or written twice is the same"
_TOGETHER = "spent and held of a counter are written together and forgotten together"
_LEVEL = "where in the script an error was raised is not read"
_PAST_END = "the last step of the loop ends before either bound"
_BURIED = "`bury` writes the state right after"
_CLOCK = "a millisecond of the server's clock at most"
_AGAIN = "more is ended or looked up than has to be, with the same answer"
_ENDS = "local ends = tonumber(read('ZSCORE', LEASES, id) or '')"
_ENDS_X = "local ends = tonumber(read('ZSCORE', LEASES, id) or 'x')"
_TIME = "return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)"
_NEW = "new = not values[i] and not values[i + 1],"
_LOADS = "for i = first, math.min(first + CHUNK - 1, #asked) do"
_SOME = "local some = { unpack(ids, first, math.min(first + CHUNK - 1, #ids)) }"
_FOUND = "if values[i] or values[i + 1] or wanted[names[i]] then"
_EXTENDS = "if amount > 0 or not amounts[field] then"

ASKED: Rows = {
    (
        "if hold.history ~= '' then heard[#heard + 1] = hold.history end",
        "if hold.history ~= 'x' then heard[#heard + 1] = hold.history end",
    ): "a history named '' is looked up, and never there; 'x' is no name the tests have",
    (
        "local middle = math.floor((low + high) / 2)",
        "local middle = math.ceil((low + high) / 2)",
    ): "either middle lies between the ends, which are two apart at least",
}
BOOKS: Rows = {
    ("error('CORRUPT ' .. key .. ' ' .. what .. ';', 0)", "error('CORRUPT ' .. key .. ' ' .. what .. ';', 1)"): _LEVEL,
    (
        "error('CORRUPT ' .. key .. ' ' .. what .. ';', 0)",
        "error('CORRUPT ' .. key .. ' ' .. what .. ';x', 0)",
    ): "what follows the semicolon is not read",
    (_TIME, _TIME.replace("floor", "ceil")): _CLOCK,
    (_TIME, _TIME.replace("/ 1000", "/ 1001")): _CLOCK,
    (_TIME, _TIME.replace("/ 1000", "/ 999")): _CLOCK,
    (_NEW, "new = not values[i] or not values[i + 1],"): _TOGETHER,
    (_NEW, "new = not values[i] and not values[i - 1],"): _TOGETHER,
    (_NEW, "new = not values[i] and not values[i + 2],"): _TOGETHER,
    (_NEW, "new = not values[i] and not values[i + 0],"): _TOGETHER,
    ("book[field] = true", "book[field] = false"): "a field named twice is read twice",
    (_LOADS, _LOADS.replace("- 1", "+ 1")): _OVERLAP,
    (_LOADS, _LOADS.replace("- 1", "- 0")): _OVERLAP,
    (_FOUND, _FOUND.replace("i + 1", "i - 1")): _TOGETHER,
    (_FOUND, _FOUND.replace("i + 1", "i + 2")): _TOGETHER,
    (_FOUND, _FOUND.replace("i + 1", "i + 0")): _TOGETHER,
    (
        "if counter.new and purge > 0 then later('ZADD', DUE, text(purge), 'c' .. field) end",
        "if counter.new and purge > 1 then later('ZADD', DUE, text(purge), 'c' .. field) end",
    ): "no counter is purged a millisecond after the epoch: an hour is the least",
    (
        "if words[1] ~= '1' or not STATES[words[2]] or not words[4] or #words % 2 == 1 then",
        "if words[1] ~= '1' or not STATES[words[2]] or not words[3] or #words % 2 == 1 then",
    ): "a record of three words is refused for being odd",
    (_SOME, _SOME.replace("- 1", "+ 1")): _OVERLAP,
    (_SOME, _SOME.replace("- 1", "- 0")): _OVERLAP,
    (
        "for i = 1, #hold.amounts, 2 do fields[#fields + 1] = hold.amounts[i] end",
        "for i = 1, #hold.amounts, 1 do fields[#fields + 1] = hold.amounts[i] end",
    ): "amounts are looked up as if they were counters too, and are none",
    (
        "redis.call('HSET', COUNTERS, unpack(pairs_, first, math.min(first + CHUNK - 1, #pairs_)))",
        "redis.call('HSET', COUNTERS, unpack(pairs_, first, math.min(first + CHUNK + 1, #pairs_)))",
    ): _OVERLAP,
}
EXTEND: Rows = {
    (_ENDS, _ENDS_X): _NO_NUMBER,
    (_EXTENDS, "if amount >= 0 or not amounts[field] then"): "adding nothing changes nothing",
    (_EXTENDS, "if amount > 0 or  amounts[field] then"): "a counter new to the call that needs nothing holds nothing",
}
HISTORIES: Rows = {
    (
        "local ENOUGH, FULL, BINS = 20, 256, 128",
        "local ENOUGH, FULL, BINS = 20, 256, 127",
    ): "the largest output, 2^53, lies in bin 105",
    (
        "if words[1] ~= '1' or not words[4] or #words % 2 == 1 then"
        " corrupt(COUNTERS, 'o:' .. name .. ' is not a history') end",
        "if words[1] ~= '1' or not words[3] or #words % 2 == 1 then"
        " corrupt(COUNTERS, 'o:' .. name .. ' is not a history') end",
    ): "a record of three words is refused for being odd",
}
EQUIVALENT: Mapping[tuple[str, str, str], str] = {
    (f"{name}.lua", *lines): why
    for name, rows in {"asked": ASKED, "books": BOOKS, "extend": EXTEND, "histories": HISTORIES}.items()
    for lines, why in rows.items()
}
