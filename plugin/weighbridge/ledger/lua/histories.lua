-- histories.lua: what calls like one returned, as core/history.py.  Never run alone: after books.lua.
--
--   KEYS, ARGV  as in books.lua
--
-- A history is "1 AT BIN COUNT ...", bins ascending: AT is when it was last taught (ms), a bin's upper
-- edge 1, 2, 3, 4, 6, 8, 12, ... output tokens.  Most calls go by none, so the functions are made when
-- first asked for.  Record version: 1.

local HISTORY_KEPT = 40 * 24 * HOUR
local ENOUGH, FULL, BINS = 20, 256, 128

local function make_histories()
  -- The histories as this call sees them: name -> {at, counts = {bin, count, ...}} or false.
  local known = {}

  local function parse_history(name, record)
    local words = {}
    for word in string.gmatch(record, '%S+') do words[#words + 1] = word end
    if words[1] ~= '1' or not words[4] or #words % 2 == 1 then corrupt(COUNTERS, 'o:' .. name .. ' is not a history') end
    local history, last = { at = amount(words[2], COUNTERS, 'o:' .. name), counts = {} }, -1
    for i = 3, #words, 2 do
      local bin, count = amount(words[i], COUNTERS, 'o:' .. name), amount(words[i + 1], COUNTERS, 'o:' .. name)
      if bin <= last or bin >= BINS or count == 0 or count >= FULL then
        corrupt(COUNTERS, 'o:' .. name .. ' is not a history')
      end
      history.counts[i - 2], history.counts[i - 1], last = bin, count, bin
    end
    return history
  end

  local function load(names)
    for first = 1, #names, CHUNK do
      local some = {}
      for i = first, math.min(first + CHUNK - 1, #names) do some[#some + 1] = 'o:' .. names[i] end
      local records = read('HMGET', COUNTERS, unpack(some))
      for i, record in ipairs(records) do
        local name = names[first + i - 1]
        if known[name] == nil then known[name] = record and parse_history(name, record) end
      end
    end
  end

  local function edge(bin)
    if bin == 0 then return 1 end
    if bin % 2 == 1 then return 2 ^ ((bin + 1) / 2) end
    return 3 * 2 ^ (bin / 2 - 1)
  end

  -- Output that 95 of 100 did not exceed; nil where too few were seen.
  local function expected(name)
    local counts, total, below = known[name] and known[name].counts or {}, 0, 0
    for i = 2, #counts, 2 do total = total + counts[i] end
    if total < ENOUGH then return nil end
    for i = 1, #counts, 2 do
      below = below + counts[i + 1]
      if 20 * below >= 19 * total then return edge(counts[i]) end
    end
  end

  -- Adds one call to a loaded history.
  local function teach(name, output)
    local often, total, seen, past = {}, 1, 0, known[name] and known[name].counts or {}
    while edge(seen) < output do seen = seen + 1 end
    for i = 1, #past, 2 do
      often[past[i]], total = past[i + 1], total + past[i + 1]
    end
    often[seen] = (often[seen] or 0) + 1
    local counts, share = {}, total >= FULL and 2 or 1
    for bin = 0, BINS - 1 do
      local count = math.floor((often[bin] or 0) / share)
      if count > 0 then
        counts[#counts + 1], counts[#counts + 2] = bin, count
      end
    end
    if not known[name] then later('ZADD', DUE, text(now + HISTORY_KEPT), 'o' .. name) end
    known[name] = { at = now, counts = counts }
    later('HSET', COUNTERS, 'o:' .. name, '1 ' .. text(now) .. ' ' .. table.concat(counts, ' '))
  end

  -- Forgets a history that is due; or says when to ask again.
  local function forget(name)
    load({ name })
    local kept = known[name] and known[name].at + HISTORY_KEPT or now
    if kept > now then return kept end
    later('HDEL', COUNTERS, 'o:' .. name)
    known[name] = false
  end

  return { load = load, expected = expected, teach = teach, forget = forget }
end

local made

local function histories()
  made = made or make_histories()
  return made
end
