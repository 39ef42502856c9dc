-- settle.lua: end a hold, charge what was used, write the journal.  Never refused.  Version 1.
-- After sweep.lua.
--
--   KEYS  1 counters  2 holds  3 leases  4 due  5 journal STREAM, one field "e" an entry
--   ARGV  1-3 as in sweep.lua
--         4 id  5 journal entry ("": none)  6 how many entries the journal keeps, about
--         7... three for each charge: field, amount, purge time (0: never)
--   returns  {'settled' | 'late' | 'already', now}
--
-- 'late': the hold had expired, or was never made; charged all the same.  An id that was never
-- held leaves a tombstone too, so that a reserve still on its way cannot hold after its settlement.
-- Ending an open hold begins with a write that frees (ZREM), so a server that is out of memory lets
-- it pass.

local JOURNAL = KEYS[5]
local id, entry = ARGV[4], ARGV[5]

-- The server's own ids are its clock.  With a clock given they follow it, and never run backwards.
local function next_entry_id()
  if ARGV[1] == '' then return '*' end
  local last = read('XREVRANGE', JOURNAL, '+', '-', 'COUNT', 1)[1]
  if not last then return text(now) .. '-1' end
  local at, count = string.match(last[1], '^(%d+)-(%d+)$')
  if now > tonumber(at) then return text(now) .. '-1' end
  return at .. '-' .. text(tonumber(count) + 1)
end

local function outcome()
  local hold = holds[id]
  if not hold or hold.state == 'expired' then return 'late' end
  if hold.state == 'ended' then return 'already' end
  local ends = tonumber(read('ZSCORE', LEASES, id) or '')
  return (not ends or ends > now) and 'settled' or 'late'
end

local function settle()
  if holds[id] and holds[id].state == 'open' then
    give_back(id, 'ended')
  end
  for i = 7, #ARGV, 3 do add(ARGV[i], tonumber(ARGV[i + 1]), 0, tonumber(ARGV[i + 2])) end
  holds[id] = holds[id] or { units = 0, amounts = {} }
  bury(id, 'ended')
  if entry ~= '' then later('XADD', JOURNAL, 'MAXLEN', '~', ARGV[6], next_entry_id(), 'e', entry) end
end

load_holds({ id })
sweep()
if entry ~= '' then read('XLEN', JOURNAL) end
local how = outcome()
if how ~= 'already' then
  local fields = holds[id] and fields_of(holds[id]) or {}
  for i = 7, #ARGV, 3 do fields[#fields + 1] = ARGV[i] end
  load_counters(fields)
  settle()
end
commit()
return { how, now }
