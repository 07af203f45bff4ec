-- Takes one text message or face check off its counters, because it was not made.
-- KEYS: the counters.
-- Returns 1. It does not create a counter that has expired.
for _, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') > 0 then
    redis.call('DECR', key)
  end
end
return 1
