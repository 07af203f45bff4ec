-- Uses a code up. KEYS: the code. ARGV: the MAC that the caller compared.
-- Returns 1, or 0 when another call used the code or another code replaced it.
if redis.call('HGET', KEYS[1], 'mac') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
