-- Changes a login session if it has not changed since the caller read it. The expiry stays.
-- KEYS: the session, its code. ARGV: the value that was read, the new value ("" when it ends), and
-- 1 if the code is used up with this step.
-- Returns 1, or 0 when the session has ended or another call moved it.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[2])
end
return 1
