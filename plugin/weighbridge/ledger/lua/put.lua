-- put.lua: write documents to a shelf and drop names, in one step.  Version 1.
--
--   KEYS  1 documents HASH, name -> JSON  2 version, grows with every change
--   ARGV  1 "1": only where the shelf has never been written, else ""
--         2 how many documents are written
--         3... name and JSON of each, then the names to drop
--   returns  the shelf's version

local function read(command, key)
  local reply = redis.pcall(command, key)
  if type(reply) == 'table' and reply.err then error('CORRUPT ' .. key .. ' ' .. reply.err .. ';', 0) end
  return reply
end

read('HLEN', KEYS[1])
local version = read('GET', KEYS[2]) or '0'
if not string.match(version, '^%d+$') then error('CORRUPT ' .. KEYS[2] .. ' is not a version;', 0) end
if ARGV[1] == '1' and version ~= '0' then return tonumber(version) end

local first_dropped = 3 + 2 * tonumber(ARGV[2])
for i = 3, first_dropped - 1, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
for i = first_dropped, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return redis.call('INCR', KEYS[2])
