-- Gives a lease back. KEYS: the lease. ARGV: the owner. Returns 1, or 0 when it has another owner.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
