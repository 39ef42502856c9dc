-- reserve.lua: hold on every counter, or on none.  Version 2.  After books, histories, sweep and asked.
--
--   KEYS  1 counters  2 holds  3 leases  4 due
--   ARGV  1-3 as in books.lua
--         4 id  5 output units wanted  6 fewest worth it  7 lease in ms
--         8 how many expired holds to end before saying that there is no room
--         9... eight for each hold, as in asked.lua
--   returns  {'granted', now, units, covered, {spent, held, ...}}    each counter with the hold in it
--            {'short', now, fits, {index, ...}, {spent, held, ...}}   fits -1: not even without output
--            {'moved', now}                                       the clock is outside a window
--
-- A hold with a history takes what is to be expected by it: `covered` is the output that everything
-- held covers.  The same id again is 'granted' what it was granted before and holds nothing more: also
-- when it has expired or ended meanwhile, and (with 0 units) when its settlement came first.

local id, want, least, lease = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])

local function moved()
  for _, hold in ipairs(asked) do
    if hold.past > 0 and (now < hold.first or now >= hold.past) then return true end
  end
  return false
end

local function expect()
  histories().load(heard)
  for _, hold in ipairs(asked) do hold.expected = histories().expected(hold.history) end
end

local function grant(units)
  local covered, amounts = units, {}
  for _, hold in ipairs(asked) do covered = math.min(covered, hold.expected or covered) end
  for _, field in ipairs(fields) do
    amounts[field] = need(field, units)
    add(field, 0, amounts[field], on[field].purge)
  end
  write_hold(id, units, covered, amounts)
  later('ZADD', LEASES, text(now + lease), id)
  return { 'granted', now, units, covered, states() }
end

local function decide()
  if holds[id] then return { 'granted', now, holds[id].units, holds[id].covered, states() } end
  if moved() then return { 'moved', now } end
  if #heard > 0 then expect() end
  local units = most_units(0, want, need)
  if units < want then
    expire(tonumber(ARGV[8]))
    units = most_units(0, want, need)
  end
  if units < least then return { 'short', now, units, lacking(want, need), states() } end
  return grant(units)
end

read_asked(9)
load_holds({ id })
sweep()
load_windows(fields)
local answer = decide()
commit()
return answer
