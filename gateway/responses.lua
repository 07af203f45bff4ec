-- Finishes the responses of services: unwraps the resource, answers conditional requests and HEAD,
-- and completes errors.
--
-- Uses the tables ROUTES and REPLIES, which request_check.lua describes, and TOKEN of claims.lua.

-- Separate code handles the response, so facts about the request are kept in the stream's metadata.
local KEPT = "envoy.filters.http.lua"

local function keep(handle, name, value)
  handle:streamInfo():dynamicMetadata():set(KEPT, name, value)
end

local function kept(handle, name)
  local facts = handle:streamInfo():dynamicMetadata():get(KEPT)
  return facts and facts[name]
end

local function keep_known_tags(handle, headers)
  local known = headers:get("if-none-match")
  if known then keep(handle, "known_tags", known) end
end

-- A HEAD is answered like a GET, without the body (RFC 9110, 9.3.2). The transcoder knows only the
-- contract's verb.
local function answer_as_get(handle, headers)
  headers:replace(":method", "GET")
  keep(handle, "head", "true")
end

local function unwrap(handle, field)
  local body = handle:body()
  if not body then return end
  local text = body:getBytes(0, body:length())
  local head = '{"' .. field .. '":'
  if string.sub(text, 1, #head) == head then body:setBytes(string.sub(text, #head + 1, -2)) end
end

-- Returns whether the caller already has the resource with this tag. This is the weak comparison of
-- RFC 9110, 13.1.2, so a W/ before a tag has no effect.
local function is_known(handle, tag)
  local known = kept(handle, "known_tags") or ""
  if string.find(known, "^%s*%*%s*$") then return true end
  for each in string.gmatch(known, '"[^"]*"') do
    if each == tag then return true end
  end
  return false
end

-- An answer without a body has no trailers either (RFC 9110, 15.4.5; RFC 9112, 6.3). Services send
-- gRPC's status as trailers, which HTTP/2 would carry.
local function leave_out_trailers(handle)
  local trailers = handle:trailers()
  if not trailers then return end
  local names = {}
  for name in pairs(trailers) do names[#names + 1] = name end
  for _, name in ipairs(names) do trailers:remove(name) end
end

-- Keeps the length of the whole answer (RFC 9110, 8.6). Without a length, Envoy would add a
-- transfer coding in HTTP/1, which would send bytes after an answer that must not have a body.
local function leave_out_body(handle)
  local body = handle:body()
  local length = body and body:length() or 0
  if length > 0 then
    body:setBytes("")
    handle:headers():replace("content-length", tostring(length))
  end
  leave_out_trailers(handle)
end

local function say_not_modified(handle)
  leave_out_body(handle)
  local headers = handle:headers()
  headers:replace(":status", "304")
  headers:remove("content-type")
end

-- Services send an ErrorInfo with each error. A proxy sends none, so the gateway adds its own.
-- Returns the text of the answer, or nil if it has none.
local function complete(handle, status)
  local body = handle:body()
  if not body then return end
  local headers = handle:headers()
  local text = body:getBytes(0, body:length())
  if not string.find(text, "google.rpc.ErrorInfo", 1, true) then
    text = REPLIES[tonumber(status)] or REPLIES[500]
    body:setBytes(text)
    headers:replace("content-type", "application/json")
  end
  local delay = string.match(text, '"retryDelay": *"(%d+)')
  if delay and not headers:get("retry-after") then headers:add("retry-after", delay) end
  return text
end

-- The token is valid if only a recent second factor is missing (RFC 9470, 3).
local function challenge_of(text)
  local refused = text and string.find(text, '"reason": *"STEP_UP_REQUIRED"')
  local age = refused and string.match(text, '"max_age_s": *"(%d+)"')
  return age and string.format(TOKEN.step_up, age) or TOKEN.challenge
end

-- A service refuses a token too, for example if its subject is not a customer's id. Each 401 of a
-- method with a token has a challenge (RFC 9110, 15.5.2); one that the gateway has already set
-- stays. A public method has none: its callers send no token, and no scheme of HTTP carries a
-- password here.
local function challenge(handle, route, status, text)
  local headers = handle:headers()
  if status == "401" and route and route.customer and not headers:get("www-authenticate") then
    headers:add("www-authenticate", challenge_of(text))
  end
end

local function finish(handle, route)
  local status = handle:headers():get(":status")
  if status >= "400" then
    return challenge(handle, route, status, complete(handle, status))
  end
  if not route then return end
  if route.unwrap then unwrap(handle, route.unwrap) end
  local tag = route.etag and handle:headers():get("etag")
  if tag and is_known(handle, tag) then say_not_modified(handle) end
end

function envoy_on_response(handle)
  local route = ROUTES[handle:metadata():get("route")]
  finish(handle, route)
  if route and route.body == "none" and kept(handle, "head") then leave_out_body(handle) end
end
