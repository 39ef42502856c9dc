-- books.lua: the clock, the counters and the holds as a call sees them.  Never run alone:
-- ledger/scripts.py puts it in front of the verbs that move money, so that they share one reading of
-- keys and records.
--
--   KEYS  1 counters HASH   "s:" .. field -> spent, "h:" .. field -> held,
--                           "b:" .. field -> spent by journal entries that are gone,
--                           "o:" .. history -> "1 AT BIN COUNT ..."  (histories.lua)
--         2 holds    HASH   id -> "1 open UNITS COVERED FIELD AMOUNT ..." | "1 expired UNITS COVERED"
--                           | "1 ended UNITS COVERED"
--         3 leases   ZSET   id of every open hold, by the end of its lease (ms)
--         4 due      ZSET   "h" .. id of ended holds, "c" .. field of counters and "o" .. history, by
--                           purge time (ms)
--   ARGV  1 the clock in ms (tests only; "": the server's)
--         2 how long an ended hold is remembered, in ms
--         3 how many expired holds to end, and purges to make, in passing
--
-- A verb reads and checks everything first; writes are put off with `later` and made by `commit`.
-- So an error ("CORRUPT key what;") leaves everything as it was.  Record version: 1.

local COUNTERS, HOLDS, LEASES, DUE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local LARGEST = 9007199254740991
local HOUR = 3600000
local CHUNK = 1000
local RETENTION, SWEEP = tonumber(ARGV[2]), tonumber(ARGV[3])

local function corrupt(key, what)
  error('CORRUPT ' .. key .. ' ' .. what .. ';', 0)
end

local function read(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then corrupt(key, reply.err) end
  return reply
end

local function text(number)
  return string.format('%.0f', number)
end

local function amount(value, key, field)
  if not value then return 0 end
  local number = string.match(value, '^%d+$') and tonumber(value)
  if not number or number > LARGEST then corrupt(key, field .. ' is not an amount') end
  return number
end

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local now = clock()
local writes = {}

local function later(...)
  writes[#writes + 1] = { ... }
end

-- The counters as this call sees them: field -> {spent, held, new, changed}.

local book = {}

-- Enters a counter from what was read: `names` and `values` of spent and held begin at `i`.
local function enter(field, names, values, i)
  book[field] = {
    spent = amount(values[i], COUNTERS, names[i]),
    held = amount(values[i + 1], COUNTERS, names[i + 1]),
    new = not values[i] and not values[i + 1],
  }
end

local function load_counters(fields)
  local asked = {}
  for _, field in ipairs(fields) do
    if not book[field] then
      book[field] = true
      asked[#asked + 1] = field
    end
  end
  for first = 1, #asked, CHUNK do
    local names = {}
    for i = first, math.min(first + CHUNK - 1, #asked) do
      names[#names + 1] = 's:' .. asked[i]
      names[#names + 1] = 'h:' .. asked[i]
    end
    local values = read('HMGET', COUNTERS, unpack(names))
    for i = 1, #names, 2 do enter(asked[first + (i - 1) / 2], names, values, i) end
  end
end

-- A field ends in "|START|END|SPAN".  With a span it is a bucket of a rolling window, and a limit is
-- held against all the buckets that reach into the span: those of the newest window by `now` that
-- still looks back on this one.  Kept are the fields of those that exist, or are asked for.

local windows = {}

local function load_window(field, wanted)
  local name, first, past, span = string.match(field, '^(.*|)(%-?%d+)|(%-?%d+)(|%d+)$')
  local length, back = past - first, math.ceil(string.sub(span, 2) / (past - first))
  local on = math.min(math.max(math.floor((now - first) / length), 0), back)
  local spents, helds, names = 's:' .. name, 'h:' .. name, {}
  local till = text(first + (on + 1) * length)
  for start = first + on * length, first + (on - back) * length, -length do
    local from = text(start)
    local bounds = from .. '|' .. till .. span
    names[#names + 1] = spents .. bounds
    names[#names + 1] = helds .. bounds
    till = from
  end
  local values, found = read('HMGET', COUNTERS, unpack(names)), {}
  for i = 1, #names, 2 do
    if values[i] or values[i + 1] or wanted[names[i]] then
      local bucket = string.sub(names[i], 3)
      if not book[bucket] then enter(bucket, names, values, i) end
      found[#found + 1] = bucket
    end
  end
  windows[field] = found
end

-- Loads counters with all that their limits are held against.
local function load_windows(fields)
  load_counters(fields)
  local rolling, wanted = {}, {}
  for _, field in ipairs(fields) do
    if string.sub(field, -2) ~= '|0' then
      rolling[#rolling + 1] = field
      wanted['s:' .. field] = true
    end
  end
  for _, field in ipairs(rolling) do
    if not windows[field] then load_window(field, wanted) end
  end
end

-- What is spent and held in a loaded window.
local function standing(field)
  if not windows[field] then return book[field].spent, book[field].held end
  local spent, held = 0, 0
  for _, name in ipairs(windows[field]) do
    spent = spent + book[name].spent
    held = held + book[name].held
  end
  return math.min(spent, LARGEST), math.min(held, LARGEST)
end

-- Adds to a loaded counter; neither number leaves 0 .. LARGEST.  `purge` is when a counter that
-- comes into being may be forgotten (0: never).
local function add(field, spent, held, purge)
  local counter = book[field]
  counter.spent = math.min(counter.spent + spent, LARGEST)
  counter.held = math.min(math.max(counter.held + held, 0), LARGEST)
  if counter.new and purge > 0 then later('ZADD', DUE, text(purge), 'c' .. field) end
  counter.new = false
  counter.changed = true
end

-- The holds as this call sees them: id -> {state, units, covered, amounts = {field, amount, ...}} or
-- false.

local holds = {}
local STATES = { open = true, expired = true, ended = true }

local function parse_hold(id, record)
  local words = {}
  for word in string.gmatch(record, '%S+') do words[#words + 1] = word end
  if words[1] ~= '1' or not STATES[words[2]] or not words[4] or #words % 2 == 1 then
    corrupt(HOLDS, id .. ' is not a hold')
  end
  local hold = { state = words[2], amounts = {} }
  hold.units, hold.covered = amount(words[3], HOLDS, id), amount(words[4], HOLDS, id)
  for i = 5, #words, 2 do
    hold.amounts[i - 4] = words[i]
    hold.amounts[i - 3] = amount(words[i + 1], HOLDS, id)
  end
  return hold
end

local function load_holds(ids)
  for first = 1, #ids, CHUNK do
    local some = { unpack(ids, first, math.min(first + CHUNK - 1, #ids)) }
    local records = read('HMGET', HOLDS, unpack(some))
    for i, id in ipairs(some) do
      if holds[id] == nil then holds[id] = records[i] and parse_hold(id, records[i]) end
    end
  end
end

local function fields_of(hold)
  local fields = {}
  for i = 1, #hold.amounts, 2 do fields[#fields + 1] = hold.amounts[i] end
  return fields
end

local function commit()
  for _, write in ipairs(writes) do redis.call(unpack(write)) end
  local pairs_ = {}
  for field, counter in pairs(book) do
    if counter.changed then
      for _, value in ipairs({ 's:' .. field, text(counter.spent), 'h:' .. field, text(counter.held) }) do
        pairs_[#pairs_ + 1] = value
      end
    end
  end
  for first = 1, #pairs_, CHUNK do
    redis.call('HSET', COUNTERS, unpack(pairs_, first, math.min(first + CHUNK - 1, #pairs_)))
  end
end
