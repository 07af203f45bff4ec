-- Makes a new refresh token current in place of the one that was presented.
-- A lost lease does not matter: only the first caller finds the old token current.
-- KEYS: the family, its list of tokens, the new token, the old token's successor, its lease.
-- ARGV: the digests of the old and the new token, the session id, the sealed new tokens, their
-- life in ms, the lease's owner, how many tokens a family remembers, the new token's grant.
-- Returns 1 and the digest of a token to forget (or nil); or 0 when the old token is not current.
if redis.call('GET', KEYS[5]) == ARGV[6] then
  redis.call('DEL', KEYS[5])
end
if redis.call('HGET', KEYS[1], 'current') ~= ARGV[1] then
  return {0}
end
local expire_ms = redis.call('PEXPIRETIME', KEYS[1])
redis.call('HSET', KEYS[1], 'current', ARGV[2], 'grant', ARGV[8])
redis.call('SET', KEYS[3], ARGV[3], 'PXAT', expire_ms)
redis.call('SET', KEYS[4], ARGV[4], 'PX', ARGV[5])
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('PEXPIREAT', KEYS[2], expire_ms)
if redis.call('LLEN', KEYS[2]) > tonumber(ARGV[7]) then
  return {1, redis.call('LPOP', KEYS[2])}
end
return {1}
