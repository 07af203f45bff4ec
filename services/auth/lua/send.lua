-- Counts one text message at all of its counters, or refuses it and counts nothing.
-- KEYS: the counters. ARGV: the window in ms, then the largest count of each counter.
-- Returns 0 when the message may be sent, or the ms until the refusing window ends. A window
-- begins with its first message, so no time zone and no clock matters.

local wait_ms = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    wait_ms = math.max(wait_ms, redis.call('PTTL', key), 1)
  end
end
if wait_ms == 0 then
  for _, key in ipairs(KEYS) do
    if redis.call('INCR', key) == 1 then
      redis.call('PEXPIRE', key, ARGV[1])
    end
  end
end
return wait_ms
