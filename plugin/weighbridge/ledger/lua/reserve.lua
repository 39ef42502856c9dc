-- reserve.lua: hold on every counter, or on none.  Version 1.  After sweep.lua.
--
--   KEYS  1 counters  2 holds  3 leases  4 due
--   ARGV  1-3 as in sweep.lua
--         4 id  5 output units wanted  6 fewest worth it  7 lease in ms
--         8 how many expired holds to end before saying that there is no room
--         9... seven for each hold: field, limit ("": never refuses), fixed, thousandths per unit,
--              window start, window end (0: none), purge time (0: never)
--   returns  {'granted', now, units, {spent, held, ...}}          each counter with the hold in it
--            {'short', now, fits, {index, ...}, {spent, held, ...}}   fits -1: not even without output
--            {'moved', now}                                       the clock is outside a window
--
-- The same id again is 'granted' what it was granted before and holds nothing more: also when it
-- has expired or ended meanwhile, and (with 0 units) when its settlement came first.

local id, want, least, lease = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local asked, fields, on = {}, {}, {}

for i = 9, #ARGV, 7 do
  local field = ARGV[i]
  local hold = {
    field = field, limit = tonumber(ARGV[i + 1]), fixed = tonumber(ARGV[i + 2]), per = tonumber(ARGV[i + 3]),
    first = tonumber(ARGV[i + 4]), past = tonumber(ARGV[i + 5]), purge = tonumber(ARGV[i + 6]),
  }
  asked[#asked + 1] = hold
  if not on[field] then
    on[field] = {}
    fields[#fields + 1] = field
  end
  table.insert(on[field], hold)
end

-- fixed + ceil(units * per / 1000), as core.ledger.Hold.amount; products stay below 2^53.
local function held_for(hold, units)
  local product = units * hold.per
  local rest = math.fmod(product, 1000)
  return hold.fixed + (product - rest) / 1000 + (rest > 0 and 1 or 0)
end

-- Several holds of one call may name one counter: together they must fit.
local function has_room(hold, units)
  if not hold.limit then return true end
  local need = 0
  for _, other in ipairs(on[hold.field]) do need = need + held_for(other, units) end
  local counter = book[hold.field]
  return need <= hold.limit - counter.spent - counter.held
end

local function fits(units)
  for _, hold in ipairs(asked) do
    if not has_room(hold, units) then return false end
  end
  return true
end

-- The most units, up to `want`, that fit everywhere; -1 where not even none do.
local function most_units()
  if fits(want) then return want end
  if not fits(0) then return -1 end
  local low, high = 0, want
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if fits(middle) then low = middle else high = middle end
  end
  return low
end

local function states()
  local list = {}
  for _, hold in ipairs(asked) do
    list[#list + 1] = book[hold.field].spent
    list[#list + 1] = book[hold.field].held
  end
  return list
end

local function moved()
  for _, hold in ipairs(asked) do
    if hold.past > 0 and (now < hold.first or now >= hold.past) then return true end
  end
  return false
end

local function short(units)
  local lacking = {}
  for i, hold in ipairs(asked) do
    if not has_room(hold, want) then lacking[#lacking + 1] = i - 1 end
  end
  return { 'short', now, units, lacking, states() }
end

local function grant(units)
  local record = { '1 open', text(units) }
  for _, hold in ipairs(asked) do add(hold.field, 0, held_for(hold, units), hold.purge) end
  for _, field in ipairs(fields) do
    local together = 0
    for _, hold in ipairs(on[field]) do together = together + held_for(hold, units) end
    record[#record + 1] = field
    record[#record + 1] = text(math.min(together, LARGEST))
  end
  later('HSET', HOLDS, id, table.concat(record, ' '))
  later('ZADD', LEASES, text(now + lease), id)
  return { 'granted', now, units, states() }
end

local function decide()
  if holds[id] then return { 'granted', now, holds[id].units, states() } end
  if moved() then return { 'moved', now } end
  local units = most_units()
  if units < want then
    expire(tonumber(ARGV[8]))
    units = most_units()
  end
  if units < least then return short(units) end
  return grant(units)
end

load_holds({ id })
sweep()
load_counters(fields)
local answer = decide()
commit()
return answer
