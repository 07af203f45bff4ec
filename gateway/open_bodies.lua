-- Refuses bodies that are larger than their method allows, and limits how much memory the requests
-- without a token take whose bodies have not arrived yet.
--
-- A request reserves memory in a pool when its headers have arrived, and gives it back when its
-- body is complete. So callers that send their bodies at once need little of a pool, however many
-- they are. A request that its caller breaks off gives the memory back after ARRIVAL_S: until then,
-- the gateway ends every request whose body is not complete.
--
-- Each worker thread of the proxy has its own pools; the gateway runs with one (--concurrency 1).
--
-- gateway/open_bodies.py puts these values before the code: POOLS[name] = {address=, site=, total=}
-- in bytes, REQUEST_BYTES, ARRIVAL_S and REPLY.

-- The reserved bytes of each address, of each site and of all together.
local pools = {}
for name, limits in pairs(POOLS) do
  pools[name] = {limits = limits, used = {address = {}, site = {}, total = {}}}
end

-- Reservations in the order of their ends, from `first` to `last`.
local queue, first, last = {}, 1, 0

-- Seconds that have passed since the start. The host's clock is the only one here and can be set
-- back. Then the next request counts no time, so a reservation ends only a little later.
local passed, seen = 0, os.time()

local function clock()
  local now = os.time()
  passed, seen = passed + math.max(0, now - seen), now
  return passed
end

local function give_back(reserved)
  if reserved.is_returned then return end
  reserved.is_returned = true
  for kind, owner in pairs(reserved.owners) do
    local used = reserved.pool.used[kind]
    local left = used[owner] - reserved.bytes
    used[owner] = left > 0 and left or nil
  end
end

local function give_ended_back(now)
  while first <= last and (queue[first].is_returned or queue[first].ends < now) do
    give_back(queue[first])
    queue[first] = nil
    first = first + 1
  end
end

local function groups(text)
  local found = {}
  for group in string.gmatch(text, "[^:]+") do found[#found + 1] = group end
  return found
end

-- Returns the owners of a reservation. An IPv6 address such as "[2001:db8::1]:443" stands for its
-- /64 network, and its site is the /48 network. An IPv4 address has no site.
local function owners(address)
  local whole = string.match(address, "^%[(.*)%]")
  if not whole then return {address = string.match(address, "^[^:]+") or address, total = "all"} end
  local head, tail = string.match(whole, "^(.-)::(.*)$")
  local found = groups(head or whole)
  local rest = groups(tail or "")
  for _ = #found + #rest + 1, 8 do found[#found + 1] = "0" end
  for _, group in ipairs(rest) do found[#found + 1] = group end
  local network, site = table.concat(found, ":", 1, 4), table.concat(found, ":", 1, 3)
  return {address = network, site = site, total = "all"}
end

local function reserve(pool, callers, bytes, ends)
  for kind, owner in pairs(callers) do
    if (pool.used[kind][owner] or 0) + bytes > pool.limits[kind] then return nil end
  end
  for kind, owner in pairs(callers) do
    pool.used[kind][owner] = (pool.used[kind][owner] or 0) + bytes
  end
  last = last + 1
  queue[last] = {pool = pool, owners = callers, bytes = bytes, ends = ends, is_returned = false}
  return queue[last]
end

function envoy_on_request(handle)
  local metadata = handle:metadata()
  local bytes_max = metadata:get("body_bytes_max")
  if not bytes_max then return end
  local length = handle:headers():get("content-length")
  local bytes = length and tonumber(length) or bytes_max
  -- The next filter does not read the length: it would hold the body until too much has arrived.
  -- The route's metadata has the text of this answer.
  if bytes > bytes_max then return handle:respond({[":status"] = "413"}) end
  local pool = pools[metadata:get("pool")]
  if not pool then return end
  local now = clock()
  give_ended_back(now)
  local callers = owners(handle:streamInfo():downstreamRemoteAddress())
  local reserved = reserve(pool, callers, REQUEST_BYTES + bytes, now + ARRIVAL_S)
  if not reserved then
    local headers = {[":status"] = "429", ["content-type"] = "application/json"}
    headers["retry-after"] = REPLY.retry_after
    return handle:respond(headers, REPLY.body)
  end
  for _ in handle:bodyChunks() do end
  give_back(reserved)
end
