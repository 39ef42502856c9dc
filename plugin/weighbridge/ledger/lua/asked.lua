-- asked.lua: the holds a call asks for, and how much output fits on their counters.  Never run alone:
-- after books.lua.
--
--   KEYS  as in books.lua
--   ARGV  eight for each hold, the last of all: field, limit ("": never refuses), fixed, thousandths
--         per unit, window start, window end (0: none), purge time (0: never), history ("": none)
--
-- Record version: 1.

-- Every hold in the order asked; the fields they name, each once; the holds on each field; the
-- histories they go by.
local asked, fields, on, heard = {}, {}, {}, {}

local function read_asked(first)
  for i = first, #ARGV, 8 do
    local field = ARGV[i]
    local hold = {
      field = field, limit = tonumber(ARGV[i + 1]), fixed = tonumber(ARGV[i + 2]), per = tonumber(ARGV[i + 3]),
      first = tonumber(ARGV[i + 4]), past = tonumber(ARGV[i + 5]), purge = tonumber(ARGV[i + 6]),
      history = ARGV[i + 7],
    }
    asked[#asked + 1] = hold
    if hold.history ~= '' then heard[#heard + 1] = hold.history end
    if not on[field] then
      on[field] = { purge = hold.purge }
      fields[#fields + 1] = field
    end
    table.insert(on[field], hold)
  end
end

-- fixed + ceil(units * per / 1000), as core.ledger.Hold.amount; products stay below 2^53.
local function held_for(hold, units)
  local product = units * hold.per
  local rest = math.fmod(product, 1000)
  return hold.fixed + (product - rest) / 1000 + (rest > 0 and 1 or 0)
end

-- What the holds on a field take together, for `units` or for fewer where one goes by its history.
local function need(field, units)
  local together = 0
  for _, hold in ipairs(on[field]) do
    together = together + held_for(hold, hold.expected and math.min(units, hold.expected) or units)
  end
  return together
end

-- Indexes, from 0, of the holds whose counter has no room; `more(field, units)` is what to hold there
-- on top, or nil where nothing is asked of it.
local function lacking(units, more)
  local list = {}
  for i, hold in ipairs(asked) do
    local amount = hold.limit and more(hold.field, units)
    if amount then
      local spent, held = standing(hold.field)
      if amount > hold.limit - spent - held then list[#list + 1] = i - 1 end
    end
  end
  return list
end

-- The most units from `low` to `high` that fit everywhere; -1 where not even `low` do.
local function most_units(low, high, more)
  if #lacking(high, more) == 0 then return high end
  if #lacking(low, more) > 0 then return -1 end
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    if #lacking(middle, more) == 0 then low = middle else high = middle end
  end
  return low
end

local function states()
  local list = {}
  for _, hold in ipairs(asked) do list[#list + 1], list[#list + 2] = standing(hold.field) end
  return list
end

-- Writes an open hold; `amounts` is what it holds by field.
local function write_hold(id, units, covered, amounts)
  local record = { '1 open', text(units), text(covered) }
  for field, amount in pairs(amounts) do
    record[#record + 1] = field
    record[#record + 1] = text(math.min(amount, LARGEST))
  end
  later('HSET', HOLDS, id, table.concat(record, ' '))
end
