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

-- Forgets what is due: a counter with nothing held on it, a history, an ended hold.  Answers when to
-- ask again where it is not yet to go.
local function forget(kind, name)
  if kind == 'o' then return histories().forget(name) end
  if kind == 'h' then
    later('HDEL', HOLDS, name)
    holds[name] = false
  elseif kind == 'c' then
    load_counters({ name })
    if book[name].held > 0 then return now + HOUR end
    later('HDEL', COUNTERS, 's:' .. name, 'h:' .. name, 'b:' .. name)
    book[name] = { spent = 0, held = 0, new = true, purged = true }
  else
    corrupt(DUE, kind .. name .. ' is of no kind')
  end
end

-- Forgets up to `most` of what is past its time.
local function purge(most)
  for _, member in ipairs(read('ZRANGEBYSCORE', DUE, '-inf', text(now), 'LIMIT', 0, most)) do
    local again = forget(string.sub(member, 1, 1), string.sub(member, 2))
    if again then later('ZADD', DUE, text(again), member) else later('ZREM', DUE, member) end
  end
end

local function sweep()
  expire(SWEEP)
  purge(SWEEP)
end
