-- recount.lua: counters and holds at one moment, and what the open holds add up to.  Version 1.
-- After books.lua; sweeps nothing and writes nothing.
--
--   KEYS  1 counters  2 holds  3 leases  4 due  5 journal
--   ARGV  1-3 as in books.lua
--         4 how many open holds may be added up  5 how many of the oldest entries to tell
--         6 how many counters are asked for  7... their fields, then the ids of holds
--   returns  {now, 1 or 0 (more holds are open than may be added up),
--             {spent, held, base, sum of the open holds, ...}   texts as kept; nil: not there
--             {record, end of the lease, ...}, {{entry id, {name, text}}, ...}, newest entry id or ''}
--
-- A hold that cannot be read adds nothing: it is a finding of its own.

local most, asked = tonumber(ARGV[4]), tonumber(ARGV[6])
local added, whole = {}, read('ZCARD', LEASES) <= most

local function add_up(ids)
  if #ids == 0 then return end
  local records = read('HMGET', HOLDS, unpack(ids))
  for i, id in ipairs(ids) do
    local sound, hold = pcall(parse_hold, id, records[i] or '')
    if sound and hold.state == 'open' then
      for n = 1, #hold.amounts, 2 do
        local field = hold.amounts[n]
        if added[field] then added[field] = added[field] + hold.amounts[n + 1] end
      end
    end
  end
end

local function numbers()
  local list = {}
  for first = 7, 6 + asked, CHUNK do
    local names = {}
    for i = first, math.min(first + CHUNK - 1, 6 + asked) do
      for _, kind in ipairs({ 's:', 'h:', 'b:' }) do names[#names + 1] = kind .. ARGV[i] end
    end
    local values = read('HMGET', COUNTERS, unpack(names))
    for i = 1, #names, 3 do
      local sum = text(added[ARGV[first + (i - 1) / 3]])
      for _, value in ipairs({ values[i], values[i + 1], values[i + 2], sum }) do list[#list + 1] = value end
    end
  end
  return list
end

local function records()
  local list = {}
  for i = 7 + asked, #ARGV do
    list[#list + 1] = read('HGET', HOLDS, ARGV[i])
    list[#list + 1] = read('ZSCORE', LEASES, ARGV[i])
  end
  return list
end

for i = 7, 6 + asked do added[ARGV[i]] = 0 end
if whole and asked > 0 then
  for first = 0, most, CHUNK do add_up(read('ZRANGE', LEASES, first, first + CHUNK - 1)) end
end
local newest = read('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
local oldest = read('XRANGE', KEYS[5], '-', '+', 'COUNT', ARGV[5])
return { now, whole and 1 or 0, numbers(), records(), oldest, newest and newest[1] or '' }
