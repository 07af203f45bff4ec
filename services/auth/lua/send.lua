-- Counts one text message or face check at all of its counters, or refuses it and counts nothing.
-- KEYS: the counters. ARGV: the window in ms, then the largest count of each counter.
-- Returns a list: 0, or for a refusal the ms until the refusing window ends; then the new counts.
-- A window begins with its first count, so no time zone and no clock matters.

local wait_ms = 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    wait_ms = math.max(wait_ms, redis.call('PTTL', key), 1)
  end
end
local answer = {wait_ms}
if wait_ms == 0 then
  for i, key in ipairs(KEYS) do
    answer[i + 1] = redis.call('INCR', key)
    if answer[i + 1] == 1 then
      redis.call('PEXPIRE', key, ARGV[1])
    end
  end
end
return answer
