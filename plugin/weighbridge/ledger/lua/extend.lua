-- extend.lua: hold for more output than is covered, on every counter or on none.  Version 1.  After
-- books, histories, sweep and asked.
--
--   KEYS  1 counters  2 holds  3 leases  4 due
--   ARGV  1-3 as in books.lua
--         4 id  5 output units to cover
--         6 how many expired holds to end before saying that there is no room
--         7... eight for each hold of the reservation, as in asked.lua
--   returns  {'granted', now, units, covered, {spent, held, ...}}    units: as reserved
--            {'short', now, covered, {index, ...}, {spent, held, ...}}   nothing more could be held
--            {'ended', now}                                          the hold is no longer open
--
-- Covers no more than the units reserved.  Asking for what is covered changes nothing.

local id = ARGV[4]

local function open()
  local ends = tonumber(read('ZSCORE', LEASES, id) or '')
  return holds[id] and holds[id].state == 'open' and ends and ends > now
end

local function extend()
  local hold, amounts = holds[id], {}
  for i = 1, #hold.amounts, 2 do amounts[hold.amounts[i]] = hold.amounts[i + 1] end

  local function more(field, units)
    local amount = need(field, units) - (amounts[field] or 0)
    return amount > 0 and amount or nil
  end

  local want, covered = math.min(tonumber(ARGV[5]), hold.units), hold.covered
  if want <= covered then return { 'granted', now, hold.units, covered, states() } end
  local units = most_units(covered, want, more)
  if units < want then
    expire(tonumber(ARGV[6]))
    units = most_units(covered, want, more)
  end
  if units <= covered then return { 'short', now, covered, lacking(want, more), states() } end
  for _, field in ipairs(fields) do
    local amount = more(field, units) or 0
    if amount > 0 or not amounts[field] then
      add(field, 0, amount, on[field].purge)
      amounts[field] = (amounts[field] or 0) + amount
    end
  end
  write_hold(id, hold.units, units, amounts)
  return { 'granted', now, hold.units, units, states() }
end

read_asked(7)
load_holds({ id })
sweep()
load_windows(fields)
local answer = open() and extend() or { 'ended', now }
commit()
return answer
