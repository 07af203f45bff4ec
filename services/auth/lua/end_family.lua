-- Ends a family, and keeps its grant until the provider has ended it too.
-- KEYS: the family, the hash of ended grants. ARGV: the session id, how long the hash lives without
-- a further end in ms, the largest number of grants in it.
-- Returns 1, or 0 when the family does not exist.
local grant = redis.call('HGET', KEYS[1], 'grant')
if grant and redis.call('HLEN', KEYS[2]) < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[2], ARGV[1], grant)
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return redis.call('DEL', KEYS[1])
