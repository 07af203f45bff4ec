-- Takes one try of a code before the caller compares anything, so that parallel calls cannot
-- compare more often than the limit. A code without a try left is deleted.
-- KEYS: the code. ARGV: the largest number of tries.
-- Returns the code's MAC and the number of tries taken, or an empty list without a code.
local mac = redis.call('HGET', KEYS[1], 'mac')
if not mac then
  return {}
end
local tries = redis.call('HINCRBY', KEYS[1], 'tries', 1)
if tries > tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[1])
  return {}
end
return {mac, tries}
