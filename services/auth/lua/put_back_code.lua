-- Stores an earlier code again in place of a newer one, and counts the tries of both.
-- KEYS: the code. ARGV: the newer code's MAC, the earlier code's MAC, the earlier code's tries.
-- Returns 1, or 0 when the newer code was used or replaced.
if redis.call('HGET', KEYS[1], 'mac') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'mac', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'tries', ARGV[3])
return 1
