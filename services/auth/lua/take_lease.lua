-- Takes the lease on a refresh token, so that of parallel refreshes one asks the provider.
-- KEYS: the family, the lease. ARGV: the token's digest, the owner, the lease's life in ms.
-- Returns 1, or 0 when another caller has the lease or the token is no longer current.
if redis.call('HGET', KEYS[1], 'current') ~= ARGV[1] then
  return 0
end
if redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3]) then
  return 1
end
return 0
