-- Limits how much memory the requests without a token take whose bodies have not arrived yet.
--
-- A request reserves memory in a pool when its headers have arrived, and gives it back when its
-- body is complete. So callers that send their bodies at once need little of a pool, however many
-- they are. A request that its caller breaks off gives the memory back after ARRIVAL_S: until then,
-- the gateway ends every request whose body is not complete.
--
-- Each worker thread of the proxy has its own pools; the gateway runs with one (--concurrency 1).
--
-- gateway/open_bodies.py puts these values before the code: POOLS[name] = {address=, total=} in
-- bytes, REQUEST_BYTES, ARRIVAL_S and REPLY.

local pools = {}
for name, limits in pairs(POOLS) do pools[name] = {limits = limits, used = 0, by_address = {}} end

-- Reservations in the order of their ends, from `first` to `last`.
local queue, first, last = {}, 1, 0

local function give_back(reserved)
  if reserved.is_returned then return end
  reserved.is_returned = true
  local pool, address = reserved.pool, reserved.address
  local left = pool.by_address[address] - reserved.bytes
  pool.used = pool.used - reserved.bytes
  pool.by_address[address] = left > 0 and left or nil
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

-- Returns an IPv4 address, or the /64 network of an IPv6 address such as "[2001:db8::1]:443".
local function network(address)
  local whole = string.match(address, "^%[(.*)%]")
  if not whole then return string.match(address, "^[^:]+") or address end
  local head, tail = string.match(whole, "^(.-)::(.*)$")
  local found = groups(head or whole)
  local rest = groups(tail or "")
  for _ = #found + #rest + 1, 8 do found[#found + 1] = "0" end
  for _, group in ipairs(rest) do found[#found + 1] = group end
  return table.concat(found, ":", 1, 4)
end

local function reserve(pool, address, bytes, now)
  local of_address = (pool.by_address[address] or 0) + bytes
  if of_address > pool.limits.address or pool.used + bytes > pool.limits.total then return nil end
  pool.by_address[address] = of_address
  pool.used = pool.used + bytes
  last = last + 1
  local ends = now + ARRIVAL_S
  queue[last] = {pool = pool, address = address, bytes = bytes, ends = ends, is_returned = false}
  return queue[last]
end

function envoy_on_request(handle)
  local metadata = handle:metadata()
  local pool = pools[metadata:get("pool")]
  if not pool then return end
  local bytes_max = metadata:get("body_bytes_max")
  local length = handle:headers():get("content-length")
  local bytes = length and tonumber(length) or bytes_max
  -- The next filter refuses such a body before it arrives.
  if bytes > bytes_max then return end
  local now = os.time()
  give_ended_back(now)
  local address = network(handle:streamInfo():downstreamRemoteAddress())
  local reserved = reserve(pool, address, REQUEST_BYTES + bytes, now)
  if not reserved then
    local headers = {[":status"] = "429", ["content-type"] = "application/json"}
    headers["retry-after"] = REPLY.retry_after
    return handle:respond(headers, REPLY.body)
  end
  for _ in handle:bodyChunks() do end
  give_back(reserved)
end
