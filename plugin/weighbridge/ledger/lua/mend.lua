-- mend.lua: put records right that an audit found wrong.  Version 1.  After books.lua; sweeps
-- nothing.
--
--   KEYS  1 counters  2 holds  3 leases  4 due  5 journal
--         6 aside HASH, "BOOK NAME" -> what was taken out   7... where a book of another type goes:
--         one for each of the five, in their order
--   ARGV  1-3 as in books.lua
--         4... five for each step: way, name, text it was found with, signed amount, purge time
--   returns  {1 or 0 for each step, whether it was done}
--
-- Ways, see core.books.Step: add, set, drop, end, unlease, strike, remove.  Numbers are added to, never
-- replaced, where they can be read: what calls do meanwhile is not lost.  A purge time of 0: never.

local JOURNAL, ASIDE = KEYS[5], KEYS[6]
local BOOKS = { counters = 1, holds = 2, leases = 3, due = 4, journal = 5 }
local WAYS = {}

local function number(value)
  local found = value and string.match(value, '^%d+$') and tonumber(value)
  return found and found <= LARGEST and found or nil
end

local function keep_aside(book, name, value)
  redis.call('HSET', ASIDE, book .. ' ' .. name, value)
end

local function remember(name, purge)
  if purge > 0 then redis.call('ZADD', DUE, 'NX', text(purge), 'c' .. string.sub(name, 3)) end
end

function WAYS.add(name, _, change, purge)
  local value = redis.call('HGET', COUNTERS, name)
  local known = value and number(value) or 0
  if value and not number(value) then return 0 end
  redis.call('HSET', COUNTERS, name, text(math.min(math.max(known + change, 0), LARGEST)))
  remember(name, purge)
  return 1
end

function WAYS.set(name, found, to, purge)
  if redis.call('HGET', COUNTERS, name) ~= found then return 0 end
  keep_aside('counters', name, found)
  redis.call('HSET', COUNTERS, name, text(to))
  remember(name, purge)
  return 1
end

function WAYS.drop(name, found)
  if redis.call('HGET', COUNTERS, name) ~= found then return 0 end
  keep_aside('counters', name, found)
  return redis.call('HDEL', COUNTERS, name)
end

WAYS['end'] = function(id, found)
  if redis.call('HGET', HOLDS, id) ~= found then return 0 end
  keep_aside('holds', id, found)
  redis.call('ZREM', LEASES, id)
  redis.call('HSET', HOLDS, id, '1 expired 0 0')
  redis.call('ZADD', DUE, text(now + RETENTION), 'h' .. id)
  return 1
end

function WAYS.unlease(id)
  local record = redis.call('HGET', HOLDS, id)
  if record and string.match(record, '^1 open ') then return 0 end
  return redis.call('ZREM', LEASES, id)
end

function WAYS.strike(cursor, found)
  keep_aside('journal', cursor, found)
  return redis.call('XDEL', JOURNAL, cursor)
end

function WAYS.remove(book)
  local at = BOOKS[book]
  return redis.call('RENAMENX', KEYS[at], KEYS[6 + at])
end

local done = {}
for i = 4, #ARGV, 5 do
  local way, name, found = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  done[#done + 1] = WAYS[way](name, found, tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]))
end
return done
