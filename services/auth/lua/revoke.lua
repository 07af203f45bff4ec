-- Adds sessions to the set of revoked ones, and removes entries that no longer matter.
-- An entry's score is its position: Valkey's time in microseconds, or the last position plus one if
-- the clock shows an earlier time. So positions only grow, also when the clock is set back.
-- KEYS: the set, the last position. ARGV: how long an entry matters in microseconds, the largest
-- number of entries, the session ids. Returns how many entries were removed because the set was
-- full.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local position = math.max(now, tonumber(redis.call('GET', KEYS[2]) or '0') + 1)
for argument = 3, #ARGV do
  redis.call('ZADD', KEYS[1], string.format('%.0f', position), ARGV[argument])
  position = position + 1
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - ARGV[1]))
local removed = redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(ARGV[2] + 1))
redis.call('SET', KEYS[2], string.format('%.0f', position - 1))
return removed
