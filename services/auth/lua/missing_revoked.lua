-- Returns the session ids that the set does not have, so the answer is short when nothing was lost.
-- KEYS: the set. ARGV: the session ids.
local missing = {}
for argument = 1, #ARGV do
  if not redis.call('ZSCORE', KEYS[1], ARGV[argument]) then
    missing[#missing + 1] = ARGV[argument]
  end
end
return missing
