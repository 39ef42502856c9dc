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
_HISTORY = (
    "if words[1] ~= '1' or not words[4] or #words % 2 == 1 then"
    " corrupt(COUNTERS, 'o:' .. name .. ' is not a history') end"
)
_HEARD = "for i = first, math.min(first + CHUNK - 1, #names) do some[#some + 1] = 'o:' .. names[i] end"
_FEW = "a call names 500 histories at most, a chunk is 1000"
HISTORIES: Rows = {
    (
        "local ENOUGH, FULL, BINS = 20, 256, 128",
        "local ENOUGH, FULL, BINS = 20, 256, 127",
    ): "the largest output, 2^53, lies in bin 105",
    (_HISTORY, _HISTORY.replace("words[4]", "words[3]")): "a record of three words is refused for being odd",
    **{
        (_HISTORY, _HISTORY.replace("#words % 2 == 1", odd)): "a bin without a count has the count 0, which is refused"
        for odd in ("#words * 2 == 1", "#words % 1 == 1", "#words % 2 == 2")
    },
    (
        "local history, last = { at = amount(words[2], COUNTERS, 'o:' .. name), counts = {} }, -1",
        "local history, last = { at = amount(words[2], COUNTERS, 'o:' .. name), counts = {} }, -2",
    ): "both are before bin 0",
    **{(_HEARD, _HEARD.replace("- 1", other)): _FEW for other in ("+ 1", "- 2", "- 0")},
    **{
        ("for bin = 0, BINS - 1 do", f"for bin = 0, BINS {other} do"): "bins beyond 105 are empty"
        for other in ("+ 1", "- 2", "- 0")
    },
}
_TYPE = "if type(reply) == 'table' and reply.err then error('CORRUPT ' .. key .. ' ' .. reply.err .. ';', 0) end"
_VERSION = "if not string.match(version, '^%d+$') then error('CORRUPT ' .. KEYS[2] .. ' is not a version;', 0) end"
PUT: Rows = {
    (_TYPE, _TYPE.replace("';', 0", "';x', 0")): "what follows the semicolon is not read",
    (_TYPE, _TYPE.replace("';', 0", "';', 1")): _LEVEL,
    (_VERSION, _VERSION.replace("', 0", "', 1")): _LEVEL,
    (
        "for i = 3, first_dropped - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end",
        "for i = 3, first_dropped - 2, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end",
    ): _PAST_END,
}
RENEW: Rows = {(_ENDS, _ENDS_X): _NO_NUMBER}
RESERVE: Rows = {
    ("if #heard > 0 then expect() end", "if #heard >= 0 then expect() end"): _AGAIN,
    (
        "local units = most_units(0, want, need)",
        "local units = most_units(1, want, need)",
    ): "where less than all fits it is found again after others were ended",
}
_ID = "if ARGV[1] == '' then return '*' end"
_LAST = "local last = read('XREVRANGE', JOURNAL, '+', '-', 'COUNT', 1)[1]"
_WHOLE = "if number < 0 or number > LARGEST or number ~= math.floor(number) then return nil end"
_OLDEST = "local oldest = over > 0 and read('XRANGE', JOURNAL, '-', '+', 'COUNT', over) or {}"
_FIELDS = "for i = 10, HISTORIES - 1, 3 do fields[#fields + 1] = ARGV[i] end"
_CHARGES = "for i = 10, HISTORIES - 1, 3 do add(ARGV[i], tonumber(ARGV[i + 1]), 0, tonumber(ARGV[i + 2])) end"
_SECOND = "no window is a millisecond long, nor purged a millisecond after the epoch"
SETTLE: Rows = {
    (
        "if span > 0 then return past + span + HOUR end",
        "if span > 1 then return past + span + HOUR end",
    ): _SECOND,
    (
        "if book[field].purged or (purge > 0 and purge <= now) then return true end",
        "if book[field].purged or (purge > 1 and purge <= now) then return true end",
    ): _SECOND,
    (
        "if purge > 0 then later('ZADD', DUE, text(purge), 'c' .. field) end",
        "if purge > 1 then later('ZADD', DUE, text(purge), 'c' .. field) end",
    ): _SECOND,
    (_ID, _ID.replace("ARGV[1]", "ARGV[2]")): "the rule for a clock that is given fits the server's own as well",
    (_ID, _ID.replace("''", "'x'")): "the rule for a clock that is given fits the server's own as well",
    (_LAST, _LAST.replace("1)", "2)")): "the first of two is the first of one",
    (_WHOLE, _WHOLE.replace("floor", "ceil")): "a whole number is its floor and its ceiling",
    (_OLDEST, _OLDEST.replace("over > 0", "over >= 0")): "a range of no entries is empty",
    (_ENDS, _ENDS_X): _NO_NUMBER,
    (
        "if holds[id].state == 'open' then give_back(id, 'ended') end",
        "if holds[id].state == 'open' then give_back(id, 'endedx') end",
    ): _BURIED,
    (_FIELDS, _FIELDS.replace("- 1", "- 2")): _PAST_END,
    (_CHARGES, _CHARGES.replace("- 1", "- 2")): _PAST_END,
}
_GIVES = "if not book[hold.amounts[i]].new then add(hold.amounts[i], 0, -hold.amounts[i + 1], 0) end"
_KIND = "local forget = FORGET[string.sub(member, 1, 1)] or corrupt(DUE, member .. ' is of no kind')"
SWEEP: Rows = {
    (
        "if book[field].held > 0 then return now + HOUR end",
        "if book[field].held > 0 then return now - HOUR end",
    ): _AGAIN,
    (
        "if again then later('ZADD', DUE, text(again), member) else later('ZREM', DUE, member) end",
        "if again then do end else later('ZREM', DUE, member) end",
    ): _AGAIN,
    (_GIVES, _GIVES.replace(", 0) end", ", 1) end")): "only a new counter is given a time to be purged",
    ("give_back(id, 'expired')", "give_back(id, 'expiredx')"): _BURIED,
    (_KIND, _KIND.replace("1, 1", "0, 1")): "a text begins at 1, and so does what begins at 0",
}
VOID: Rows = {("give_back(id, 'ended')", "give_back(id, 'endedx')"): "the record is dropped right after"}
FILES: Mapping[str, Rows] = {
    "asked": ASKED,
    "books": BOOKS,
    "extend": EXTEND,
    "histories": HISTORIES,
    "put": PUT,
    "renew": RENEW,
    "reserve": RESERVE,
    "settle": SETTLE,
    "sweep": SWEEP,
    "void": VOID,
}
EQUIVALENT: Mapping[tuple[str, str, str], str] = {
    (f"{name}.lua", *lines): why for name, rows in FILES.items() for lines, why in rows.items()
}
