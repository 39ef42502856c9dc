-- sweep.lua: the clock, the books, and what is due.  Never run alone: ledger/scripts.py puts it in
-- front of the verbs that move money, so that they share one reading of keys and records.
--
--   KEYS  1 counters HASH   "s:" .. field -> spent, "h:" .. field -> held
--         2 holds    HASH   id -> "1 open UNITS FIELD AMOUNT ..." | "1 expired UNITS" | "1 ended UNITS"
--         3 leases   ZSET   id of every open hold, by the end of its lease (ms)
--         4 due      ZSET   "h" .. id of ended holds and "c" .. field of counters, by purge time (ms)
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

local function load_counters(fields)
  local asked = {}
  for _, field in ipairs(fields) do
    if not book[field] then
      book[field] = { spent = 0, held = 0, new = true }
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
    for i = 1, #names, 2 do
      local counter = book[asked[first + (i - 1) / 2]]
      counter.spent = amount(values[i], COUNTERS, names[i])
      counter.held = amount(values[i + 1], COUNTERS, names[i + 1])
      counter.new = not values[i] and not values[i + 1]
    end
  end
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

-- The holds as this call sees them: id -> {state, units, amounts = {field, amount, ...}} or false.

local holds = {}
local STATES = { open = true, expired = true, ended = true }

local function parse_hold(id, record)
  local words = {}
  for word in string.gmatch(record, '%S+') do words[#words + 1] = word end
  if words[1] ~= '1' or not STATES[words[2]] or not words[3] or #words % 2 == 0 then
    corrupt(HOLDS, id .. ' is not a hold')
  end
  local hold = { state = words[2], units = amount(words[3], HOLDS, id), amounts = {} }
  for i = 4, #words, 2 do
    hold.amounts[i - 3] = words[i]
    hold.amounts[i - 2] = amount(words[i + 1], HOLDS, id)
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

-- Ends an open hold whose counters are loaded: gives back what it held, leaves a tombstone.
local function give_back(id, state)
  local hold = holds[id]
  for i = 1, #hold.amounts, 2 do
    if not book[hold.amounts[i]].new then add(hold.amounts[i], 0, -hold.amounts[i + 1], 0) end
  end
  later('ZREM', LEASES, id)
  hold.state, hold.amounts = state, {}
end

local function bury(id, state)
  holds[id].state = state
  later('HSET', HOLDS, id, '1 ' .. state .. ' ' .. text(holds[id].units))
  later('ZADD', DUE, text(now + RETENTION), 'h' .. id)
end

local expired = 0

-- Ends up to `most` further holds whose lease is over.
local function expire(most)
  local ids = read('ZRANGEBYSCORE', LEASES, '-inf', text(now), 'LIMIT', expired, most)
  expired = expired + #ids
  load_holds(ids)
  for _, id in ipairs(ids) do
    if holds[id] then load_counters(fields_of(holds[id])) end
  end
  for _, id in ipairs(ids) do
    if holds[id] and holds[id].state == 'open' then
      give_back(id, 'expired')
      bury(id, 'expired')
    else
      later('ZREM', LEASES, id)
    end
  end
end

-- Forgets up to `most` ended holds and counters past their time; a counter that still has something
-- held on it stays for another hour.
local function purge(most)
  for _, member in ipairs(read('ZRANGEBYSCORE', DUE, '-inf', text(now), 'LIMIT', 0, most)) do
    local kind, name = string.sub(member, 1, 1), string.sub(member, 2)
    if kind == 'c' then load_counters({ name }) end
    if kind == 'c' and book[name].held > 0 then
      later('ZADD', DUE, text(now + HOUR), member)
    elseif kind == 'c' then
      later('HDEL', COUNTERS, 's:' .. name, 'h:' .. name)
      later('ZREM', DUE, member)
      book[name] = { spent = 0, held = 0, new = true }
    else
      later('HDEL', HOLDS, name)
      later('ZREM', DUE, member)
      holds[name] = false
    end
  end
end

local function sweep()
  expire(SWEEP)
  purge(SWEEP)
end
