-- Ends a family, and keeps its grant until the provider has ended it too.
-- KEYS: the family, the hash of ended grants. ARGV: the session id, how long the hash lives without
-- a further end in ms, the largest number of grants in it.
-- Returns how many grants it dropped because the hash is full: 0 or 1.
local grant = redis.call('HGET', KEYS[1], 'grant')
redis.call('DEL', KEYS[1])
if not grant then
  return 0
end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[3]) then
  return 1
end
redis.call('HSET', KEYS[2], ARGV[1], grant)
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 0
