-- Stores the code of a login session in place of an earlier one, until the session ends.
-- KEYS: the session, the code. ARGV: the code's MAC.
-- Returns the earlier code's MAC and its tries ('' and 0 without one), or an empty list when the
-- session has ended.
local expire_ms = redis.call('PEXPIRETIME', KEYS[1])
if expire_ms < 0 then
  return {}
end
local earlier = redis.call('HMGET', KEYS[2], 'mac', 'tries')
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'mac', ARGV[1], 'tries', 0)
redis.call('PEXPIREAT', KEYS[2], expire_ms)
return {earlier[1] or '', earlier[2] or 0}
