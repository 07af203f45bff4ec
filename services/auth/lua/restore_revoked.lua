-- Adds the revoked sessions that the set lost. The version changes only when it lost some.
-- KEYS: the set, its version. ARGV: the largest number of entries, then pairs of a session id and
-- the unix ms until which it matters.
-- Returns the ids of the sessions that were added.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local added = {}
for position = 2, #ARGV, 2 do
  local room = redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1])
  if room and tonumber(ARGV[position + 1]) > now_ms then
    if redis.call('ZADD', KEYS[1], 'NX', ARGV[position + 1], ARGV[position]) == 1 then
      added[#added + 1] = ARGV[position]
    end
  end
end
if #added > 0 then
  redis.call('SET', KEYS[2], string.format('%d%06d', time[1], time[2]))
end
return added
