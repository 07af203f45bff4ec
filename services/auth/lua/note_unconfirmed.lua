-- Notes a session whose row is not stored yet. KEYS: the set. ARGV: the session's id, and how
-- long the set lives without a further login, in ms.
-- Returns 1.
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
