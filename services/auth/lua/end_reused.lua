-- Ends a family whose old token was used again. After that, none of its tokens is current.
-- KEYS: the family. Returns 1, or 0 when it does not exist; it never creates a family.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], 'current', '')
return 1
