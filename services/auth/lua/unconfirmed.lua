-- Returns the sessions that were noted long enough ago, the earliest first.
-- KEYS: the set. ARGV: how long ago in ms, the largest number of sessions.
local time = redis.call('TIME')
local until_ms = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[1]
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', until_ms, 'LIMIT', 0, ARGV[2])
