-- Counts tries. One script, so that each step is atomic for all counters of a subject.
-- KEYS: the counters. ARGV: a JSON object. `step` is the name of a step below, `rules` has a
-- throttle.Rule for each counter, `forget_ms` is the longest life of a counter, and `report` is
-- what the step `unrecorded` takes back.
-- A counter is the text "tries lock_end_ms refused unreported_lock_ms leak_from_ms". It counts a
-- reserved try as wrong until the try proves right, so parallel tries cannot pass together.
-- The clock is Valkey's, which all processes share; their own clocks do not count.

local asked = cjson.decode(ARGV[1])
local rules = asked.rules
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Forgets one try for each whole leak_ms since leak_from, and moves leak_from by the same time. So
-- the tries leak at the same rate however often the counter is read.
local function leak(c, leak_ms)
  if leak_ms > 0 then
    local leaked = math.floor((now - c.leak_from) / leak_ms)
    if leaked >= c.tries then
      c.tries, c.leak_from = 0, now
    else
      c.tries, c.leak_from = c.tries - leaked, c.leak_from + leaked * leak_ms
    end
  end
  return c
end

local function load(i)
  local text = redis.call('GET', KEYS[i])
  if not text then
    return nil
  end
  -- An older version of this script writes no leak_from.
  local tries, lock_end, refused, unreported, leak_from =
    string.match(text, '(%d+) (%d+) (%d+) (%d+) ?(%d*)')
  -- A clock that was set back must not make a lock longer than the rule, nor stop the leak.
  return leak({
    tries = tonumber(tries),
    lock_end = math.min(tonumber(lock_end), now + rules[i].lock_ms_max),
    refused = tonumber(refused),
    unreported = tonumber(unreported),
    leak_from = math.min(tonumber(leak_from) or now, now),
  }, rules[i].leak_ms)
end

local function save(i, c, ...)
  local text = string.format('%.0f %.0f %.0f %.0f %.0f', c.tries, c.lock_end, c.refused,
    c.unreported, c.leak_from)
  redis.call('SET', KEYS[i], text, ...)
end

-- Returns 0 for a reserved try, or the ms to wait. A refused try is counted once, at the first
-- locked counter. It does not extend the life of a counter.
local function admit()
  local counters, wait_ms = {}, 0
  for i = 1, #KEYS do
    local c = load(i) or
      { tries = 0, lock_end = 0, refused = 0, unreported = 0, leak_from = now }
    counters[i] = c
    wait_ms = math.max(wait_ms, c.lock_end - now)
  end
  for i, c in ipairs(counters) do
    if wait_ms <= 0 then
      local rule = rules[i]
      local life_ms = rule.free_life_ms
      c.tries = c.tries + 1
      if c.tries >= rule.free then
        life_ms = asked.forget_ms
        local lock_ms = math.min(rule.lock_first_ms * 2 ^ (c.tries - rule.free), rule.lock_ms_max)
        c.lock_end = now + lock_ms
        c.unreported = lock_ms
      end
      if rule.leak_ms > 0 then
        -- After this time the counter would be empty and unlocked, like a new one.
        local empty = c.leak_from + c.tries * rule.leak_ms
        life_ms = math.min(life_ms, math.max(empty, c.lock_end) - now)
      end
      save(i, c, 'PX', life_ms)
    elseif c.lock_end > now then
      c.refused = c.refused + 1
      save(i, c, 'KEEPTTL')
      break
    end
  end
  return math.max(wait_ms, 0)
end

-- Returns the number of the counter whose lock is reported now (0: none), the lock in ms, and how
-- many tries were refused since the last report.
local function wrong()
  local locked, lock_ms, refused = 0, 0, 0
  for i = 1, #KEYS do
    local c = load(i)
    if c then
      refused = refused + c.refused
      c.refused = 0
      if locked == 0 and c.unreported > 0 then
        locked, lock_ms = i, c.unreported
        c.unreported = 0
      end
      save(i, c, 'KEEPTTL')
    end
  end
  return { locked, lock_ms, refused }
end

-- Takes a report of `wrong` back. The next wrong try gets it.
local function unrecorded()
  local report = asked.report
  for i = 1, #KEYS do
    local c = load(i)
    if c then
      c.refused, report.refused = c.refused + report.refused, 0
      if i == report.locked then
        c.unreported = math.max(c.unreported, report.lock_ms)
      end
      save(i, c, 'KEEPTTL')
    end
  end
  return 0
end

-- Gives this try back to the counters, and ends the lock that it began. A lock that still lasts is
-- the one of this try, because it admits no later one; only a try that lasts longer than its own
-- lock ends the lock of another try.
local function give_back(first, last)
  for i = first, last do
    local c = load(i)
    if c and c.tries > 1 then
      c.tries, c.lock_end, c.unreported = c.tries - 1, 0, 0
      save(i, c, 'KEEPTTL')
    elseif c then
      redis.call('DEL', KEYS[i])
    end
  end
  return 0
end

-- Forgets the first counter, which is the subject's own. The others only get this try back, also if
-- a parallel try of the subject was right and has deleted the first counter.
local function right()
  redis.call('DEL', KEYS[1])
  return give_back(2, #KEYS)
end

-- The same for a report whose answer was lost. Without the first counter, this try was given back.
local function right_again()
  return redis.call('EXISTS', KEYS[1]) == 1 and right() or 0
end

return ({
  admit = admit,
  wrong = wrong,
  unrecorded = unrecorded,
  right = right,
  right_again = right_again,
  -- The bank could not check the factor.
  undo = function() return give_back(1, #KEYS) end,
  -- A stranger left before the answer. The address keeps its try, because it got work for it.
  hang_up = function() return give_back(1, 1) end,
})[asked.step]()
