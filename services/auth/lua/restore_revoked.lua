-- Adds the revoked sessions that the set lost, at new positions as in revoke.lua, so readers that
-- have read up to the last position read them next. A full set stays as it is.
-- KEYS: the set, the last position. ARGV: the largest number of entries, the session ids.
-- Returns the ids of the sessions that were added.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local position = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
local room = ARGV[1] - redis.call('ZCARD', KEYS[1])
local added = {}
for argument = 2, #ARGV do
  local score = string.format('%.0f', position)
  if #added < room and redis.call('ZADD', KEYS[1], 'NX', score, ARGV[argument]) == 1 then
    added[#added + 1] = ARGV[argument]
    position = position + 1
  end
end
if #added > 0 then
  redis.call('SET', KEYS[2], string.format('%.0f', position - 1))
end
return added
