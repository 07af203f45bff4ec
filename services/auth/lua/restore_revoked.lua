-- Adds the revoked sessions that the set lost, at new positions as in revoke.lua, so readers that
-- have read up to the last position read them next. Entries that no longer matter make room; a set
-- that is still full stays as it is.
-- KEYS: the set, the last position. ARGV: how long an entry matters in microseconds, the largest
-- number of entries, the session ids.
-- Returns how many sessions had no room, then the ids of those that were added.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local position = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[1]))
local room = ARGV[2] - redis.call('ZCARD', KEYS[1])
local without_room = 0
local added = {}
for argument = 3, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[argument]) then
    if #added < room then
      redis.call('ZADD', KEYS[1], string.format('%.0f', position), ARGV[argument])
      added[#added + 1] = ARGV[argument]
      position = position + 1
    else
      without_room = without_room + 1
    end
  end
end
if #added > 0 then
  redis.call('SET', KEYS[2], string.format('%.0f', position - 1))
end
return {without_room, unpack(added)}
