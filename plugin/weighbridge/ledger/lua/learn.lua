-- learn.lua: add observations to their topics' rings, and tell what changed, in one step.  Version 1.
--
--   KEYS  1 lessons HASH, topic -> "COUNT WORD WORD ..." (observations ever, the newest of them)
--         2 order ZSET, topic -> the version of its last change
--   ARGV  1 words kept of a topic  2 topics kept  3 version asked about  4 topics told at most
--         5... topic and word of each observation
--   returns  {version of the last one told, topic, record, ...}, those changed longest ago first

local lessons, order = KEYS[1], KEYS[2]

local function asked(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) == 'table' and reply.err then error('CORRUPT ' .. order .. ' ' .. reply.err .. ';', 0) end
  return reply
end

-- A record that cannot be read is begun anew: it was never money.
local function words_of(record)
  local count, rest = string.match(record or '', '^(%d+)( .*)$')
  local words = {}
  for word in string.gmatch(rest or '', '[^ ]+') do words[#words + 1] = word end
  return tonumber(count or '0'), words
end

local function told_before(words, word)
  local id = string.match(word, '^[^:]*:')
  for _, other in ipairs(words) do
    if string.sub(other, 1, #id) == id then return true end
  end
  return false
end

local function add(topic, word, kept)
  local count, words = words_of(asked('HGET', lessons, topic))
  if told_before(words, word) then return false end
  words[#words + 1] = word
  local first = math.max(1, #words - kept + 1)
  local record = string.format('%d %s', count + 1, table.concat(words, ' ', first))
  redis.call('HSET', lessons, topic, record)
  return true
end

local kept, most, since, page = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
asked('HLEN', lessons)
local version = tonumber(asked('ZREVRANGE', order, 0, 0, 'WITHSCORES')[2] or '0')

for i = 5, #ARGV, 2 do
  if add(ARGV[i], ARGV[i + 1], kept) then
    version = version + 1
    redis.call('ZADD', order, string.format('%.0f', version), ARGV[i])
  end
end
local over = redis.call('ZCARD', order) - most
if over > 0 then
  for _, topic in ipairs(redis.call('ZRANGE', order, 0, over - 1)) do redis.call('HDEL', lessons, topic) end
  redis.call('ZREMRANGEBYRANK', order, 0, over - 1)
end

if version < tonumber(since) then since = '0' end
local told = {tonumber(since)}
local changed = redis.call('ZRANGEBYSCORE', order, '(' .. since, '+inf', 'WITHSCORES', 'LIMIT', 0, page)
for i = 1, #changed, 2 do
  told[1] = tonumber(changed[i + 1])
  told[#told + 1] = changed[i]
  told[#told + 1] = redis.call('HGET', lessons, changed[i]) or ''
end
return told
