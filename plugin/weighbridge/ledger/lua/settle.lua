-- settle.lua: end a hold, charge what was used, write the journal.  Never refused.  Version 2.  After
-- books, histories and sweep.
--
--   KEYS  1 counters  2 holds  3 leases  4 due  5 journal STREAM, one field "e" an entry (JSON)
--   ARGV  1-3 as in books.lua
--         4 id  5 journal entry ("": none)  6 how many entries the journal keeps
--         7 how many to fold at most, where there are more  8 output to remember ("": none)
--         9 how many charges
--         10... three for each charge: field, amount, purge time (0: never); then the histories
--   returns  {'settled' | 'late', now, {spent, held, ...}}   each charged counter afterwards
--            {'already', now, {}}
--
-- 'late': the hold had expired, or was never made; charged all the same.  An id that was never
-- held leaves a tombstone too, so that a reserve still on its way cannot hold after its settlement.
-- Ending an open hold begins with a write that frees (ZREM), so a server that is out of memory lets
-- it pass.
--
-- An entry beyond the cap is folded: its charges go to "b:" .. field of the counters that are still
-- there, so spent = base + the journal.  One that nobody can read stays, and all behind it: nothing is
-- lost, and no settlement waits for its mending.

local JOURNAL = KEYS[5]
local id, entry, output = ARGV[4], ARGV[5], tonumber(ARGV[8])
local HISTORIES = 10 + 3 * tonumber(ARGV[9])

-- The server's own ids are its clock.  With a clock given they follow it, and never run backwards.
local function next_entry_id()
  if ARGV[1] == '' then return '*' end
  local last = read('XREVRANGE', JOURNAL, '+', '-', 'COUNT', 1)[1]
  if not last then return text(now) .. '-1' end
  local at, count = string.match(last[1], '^(%d+)-(%d+)$')
  if now > tonumber(at) then return text(now) .. '-1' end
  return at .. '-' .. text(tonumber(count) + 1)
end

-- Folds up to `most` of the oldest entries; how many it could.
local function fold(most)
  -- The charges of a journal line; nil where it is none that the ledger wrote.
  local function charges_of(line)
    local good, document = pcall(cjson.decode, line)
    local charges = good and type(document) == 'table' and document.charges
    if type(charges) ~= 'table' then return nil end
    for _, charge in ipairs(charges) do
      local field, number = unpack(type(charge) == 'table' and charge or {})
      if type(field) ~= 'string' or type(number) ~= 'number' then return nil end
      if number < 0 or number > LARGEST or number ~= math.floor(number) then return nil end
    end
    return charges
  end

  -- When a counter may be forgotten (0: never), by its field: as ledger/upkeep.py has it.
  local function purge_time(field)
    local first, past, span = string.match(field, '|(%d+)|(%d+)|(%d+)$')
    first, past, span = tonumber(first), tonumber(past), tonumber(span)
    if not past or past == 0 then return 0 end
    if span > 0 then return past + span + HOUR end
    return past + math.min(math.max(past - first, HOUR), 40 * 24 * HOUR)
  end

  -- Whether a counter has been forgotten.  One that is not here may live in another root of a
  -- cluster: then its base is kept here, for as long.
  local function forgotten(field)
    if not book[field].new then return false end
    local purge = purge_time(field)
    if book[field].purged or (purge > 0 and purge <= now) then return true end
    if purge > 0 then later('ZADD', DUE, text(purge), 'c' .. field) end
    return false
  end

  -- Adds to what gone entries had spent on each counter that is not forgotten.
  local function add_to_bases(charges)
    local names, bases = {}, {}
    for _, charge in ipairs(charges) do names[#names + 1] = charge[1] end
    load_counters(names)
    for i, charge in ipairs(charges) do
      local name = charge[1]
      if not forgotten(name) then
        local field = 'b:' .. name
        if not bases[name] then
          bases[name] = book[name].purged and 0 or amount(read('HGET', COUNTERS, field), COUNTERS, field)
        end
        bases[name] = math.min(bases[name] + charge[2], LARGEST)
      end
    end
    for name, base in pairs(bases) do later('HSET', COUNTERS, 'b:' .. name, text(base)) end
  end

  local all, gone = {}, 0
  for _, found in ipairs(read('XRANGE', JOURNAL, '-', '+', 'COUNT', most)) do
    local charges = charges_of(found[2][2])
    if not charges then break end
    for _, charge in ipairs(charges) do all[#all + 1] = charge end
    gone = gone + 1
  end
  add_to_bases(all)
  return gone
end

local function write_entry()
  local kept = read('XLEN', JOURNAL)
  local over = math.min(kept + 1 - tonumber(ARGV[6]), tonumber(ARGV[7]))
  local gone = over > 0 and fold(over) or 0
  if gone == 0 then return later('XADD', JOURNAL, next_entry_id(), 'e', entry) end
  later('XADD', JOURNAL, 'MAXLEN', text(kept + 1 - gone), next_entry_id(), 'e', entry)
end

local function outcome()
  local hold = holds[id]
  if not hold or hold.state == 'expired' then return 'late' end
  if hold.state == 'ended' then return 'already' end
  local ends = tonumber(read('ZSCORE', LEASES, id) or '')
  return (not ends or ends > now) and 'settled' or 'late'
end

local function end_hold()
  if holds[id] then
    load_counters(fields_of(holds[id]))
    if holds[id].state == 'open' then give_back(id, 'ended') end
  end
  holds[id] = holds[id] or { units = 0, covered = 0, amounts = {} }
  bury(id, 'ended')
end

local function remember()
  local names = { unpack(ARGV, HISTORIES) }
  histories().load(names)
  for _, name in ipairs(names) do histories().teach(name, output) end
end

local function settle()
  local fields, states = {}, {}
  for i = 10, HISTORIES - 1, 3 do fields[#fields + 1] = ARGV[i] end
  load_windows(fields)
  end_hold()
  for i = 10, HISTORIES - 1, 3 do add(ARGV[i], tonumber(ARGV[i + 1]), 0, tonumber(ARGV[i + 2])) end
  if entry ~= '' then write_entry() end
  if output then remember() end
  for _, field in ipairs(fields) do states[#states + 1], states[#states + 2] = standing(field) end
  return states
end

load_holds({ id })
sweep()
local how, states = outcome(), {}
if how ~= 'already' then states = settle() end
commit()
return { how, now, states }
