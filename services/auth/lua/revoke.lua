-- Adds sessions to the set of revoked ones, and removes entries that no longer matter.
-- KEYS: the set, its version. ARGV: how long an entry matters in ms, the largest number of
-- entries, the session ids. Returns how many entries were removed because the set was full.
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
for position = 3, #ARGV do
  redis.call('ZADD', KEYS[1], now_ms + ARGV[1], ARGV[position])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)
local removed = redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(ARGV[2] + 1))
redis.call('SET', KEYS[2], string.format('%d%06d', time[1], time[2]))
return removed
