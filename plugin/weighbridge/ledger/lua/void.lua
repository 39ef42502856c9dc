-- void.lua: undo a reservation, as if it had never been asked.  Version 1.  After books,
-- histories and sweep; sweeps nothing.
--
--   KEYS  1 counters  2 holds  3 leases  4 due
--   ARGV  1-3 as in books.lua  4 id
--   returns  1, or 0 where the hold is not open
--
-- A call over several roots that one of them has no room for gives back what the others held.  No
-- tombstone stays: the same id may be asked for again.

local id = ARGV[4]
load_holds({ id })
if not holds[id] or holds[id].state ~= 'open' then return 0 end
load_counters(fields_of(holds[id]))
give_back(id, 'ended')
later('HDEL', HOLDS, id)
commit()
return 1
