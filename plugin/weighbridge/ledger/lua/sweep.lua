-- sweep.lua: what is due, and how a hold ends.  Never run alone: after books.lua and histories.lua.
--
--   KEYS, ARGV  as in books.lua
--
-- Record version: 1.

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
  later('HSET', HOLDS, id, '1 ' .. state .. ' ' .. text(holds[id].units) .. ' ' .. text(holds[id].covered))
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

-- Each forgets what is due; or says when to ask again.
local function forget_counter(field)
  load_counters({ field })
  if book[field].held > 0 then return now + HOUR end
  later('HDEL', COUNTERS, 's:' .. field, 'h:' .. field, 'b:' .. field)
  book[field] = { spent = 0, held = 0, new = true, purged = true }
end

local function forget_history(name)
  return histories().forget(name)
end

local function forget_hold(id)
  later('HDEL', HOLDS, id)
  holds[id] = false
end

local FORGET = { c = forget_counter, o = forget_history, h = forget_hold }

-- Forgets up to `most` ended holds, counters and histories past their time; one that is not yet to go
-- is due again later.
local function purge(most)
  for _, member in ipairs(read('ZRANGEBYSCORE', DUE, '-inf', text(now), 'LIMIT', 0, most)) do
    local forget = FORGET[string.sub(member, 1, 1)] or corrupt(DUE, member .. ' is of no kind')
    local again = forget(string.sub(member, 2))
    if again then later('ZADD', DUE, text(again), member) else later('ZREM', DUE, member) end
  end
end

local function sweep()
  expire(SWEEP)
  purge(SWEEP)
end
