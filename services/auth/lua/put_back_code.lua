-- Stores the earlier code again in place of a newer one.
-- KEYS: the code. ARGV: the newer code's MAC, and 1 if the tries of the earlier code count too.
-- Returns 1, or 0 when the newer code was used or replaced, and when there was no earlier one.
local mac, earlier, tries = unpack(
  redis.call('HMGET', KEYS[1], 'mac', 'earlier_mac', 'earlier_tries'))
if mac ~= ARGV[1] or not earlier then
  return 0
end
redis.call('HSET', KEYS[1], 'mac', earlier)
redis.call('HDEL', KEYS[1], 'earlier_mac', 'earlier_tries')
if ARGV[2] == '1' then
  redis.call('HINCRBY', KEYS[1], 'tries', tries)
end
return 1
