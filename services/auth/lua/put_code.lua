-- Stores the code of a login session in place of an earlier one, until the session ends. The
-- earlier one is kept next to it, because the message with the new code may not be sent.
-- KEYS: the session, the code. ARGV: the code's MAC.
-- Returns 1, or 0 when the session has ended.
local expire_ms = redis.call('PEXPIRETIME', KEYS[1])
if expire_ms < 0 then
  return 0
end
local earlier = redis.call('HMGET', KEYS[2], 'mac', 'tries')
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'mac', ARGV[1], 'tries', 0)
if earlier[1] then
  redis.call('HSET', KEYS[2], 'earlier_mac', earlier[1], 'earlier_tries', earlier[2])
end
redis.call('PEXPIREAT', KEYS[2], expire_ms)
return 1
