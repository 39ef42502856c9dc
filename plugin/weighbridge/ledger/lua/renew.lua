-- renew.lua: lengthen an open hold's lease.  Version 1.  After books.lua; sweeps nothing.
--
--   KEYS  1 counters  2 holds  3 leases  4 due
--   ARGV  1-3 as in books.lua  4 id  5 lease in ms, from now
--   returns  1, or 0 where the hold is no longer open or its lease is over
--
-- A lease is never shortened.

local id = ARGV[4]
load_holds({ id })
local ends = tonumber(read('ZSCORE', LEASES, id) or '')
if not holds[id] or holds[id].state ~= 'open' or not ends or ends <= now then return 0 end
later('ZADD', LEASES, text(math.max(ends, now + tonumber(ARGV[5]))), id)
commit()
return 1
