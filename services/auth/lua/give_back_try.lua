-- Gives a right try of a code back: only wrong ones use up the tries.
-- KEYS: the code. ARGV: the MAC that the caller compared.
-- Returns 1, or 0 when the session has accepted the code or another code replaced it.
if redis.call('HGET', KEYS[1], 'mac') ~= ARGV[1] then
  return 0
end
redis.call('HINCRBY', KEYS[1], 'tries', -1)
return 1
