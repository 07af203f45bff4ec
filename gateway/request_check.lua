-- Checks requests at the gateway: rejects invalid requests that Envoy's transcoder accepts or
-- answers with a poor error.
--
-- gateway/request_check.py puts the other files and these tables before this code; it derives the
-- tables from the contracts:
--   ROUTES[name]   = {body = "json"|"raw"|"none", message = root of the body, skip = path fields,
--                     query = allowed parameters as in MESSAGES,
--                     key = needs Idempotency-Key, unwrap = field,
--                     etag = the answer has the header ETag,
--                     customer = the caller is a customer with a token}
--   MESSAGES[name] = {[name in JSON] = {canonical name, kind, repeated, message, enum or rule in
--                   words, for an integer the rule with its range}}
--   OBJECTS[name]  = which fields the message has, in words
--   ENUMS[field]   = {names = {[value's name] = true}, text = the rule in words}
--   REPLIES[http]  = google.rpc.Status as JSON text
-- A refusal names the field, says what it must be, and never repeats its value.

local match, format = string.match, string.format

local DEPTH_MAX = 32
local NAME_CHARS_MAX = 64
local READ_BYTES_MAX = 65536
local TOO_DEEP = "must be at most " .. DEPTH_MAX .. " levels deep"

-- Repeats a name from the request only if it is short and has no special characters.
local function shown(name)
  if #name <= NAME_CHARS_MAX and find(name, "^[%w_.-]*$") then return name end
  return "?"
end

local function inner(field, name)
  if field == "" then return shown(name) end
  return field .. "." .. shown(name)
end

local function read_number(text, at, field)
  local _, stop = find(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  if not stop then malformed(field, "must be a number") end
  return sub(text, at, stop), stop + 1
end

local function read_literal(text, at)
  local word = match(text, "^%a+", at)
  if word == "true" or word == "false" or word == "null" then return word, at + #word end
end

local LIMITS = {
  int32 = {"2147483647", "2147483648"},
  uint32 = {"4294967295", "0"},
  int64 = {"9223372036854775807", "9223372036854775808"},
  uint64 = {"18446744073709551615", "0"},
}

local function check_integer(digits, known, field)
  local sign, number = match(digits, "^(-?)(%d+)$")
  if not number or find(number, "^0%d") then malformed(field, known[4]) end
  local limit = LIMITS[known[2]][sign == "-" and 2 or 1]
  if #number > #limit or (#number == #limit and number > limit) then malformed(field, known[5]) end
end

local function read_integer(text, at, known, field)
  local digits, stop
  if byte(text, at) == 34 then
    digits, stop = read_string(text, at, field)
  elseif find(text, "^[-%d]", at) then
    digits, stop = read_number(text, at, field)
  end
  check_integer(digits or "", known, field)
  return stop
end

-- Accepts only names: the number of an enum value could later get another name in the contract.
local function read_enum(text, at, enum, field)
  if byte(text, at) ~= 34 then malformed(field, ENUMS[enum].text) end
  local name, stop = read_string(text, at, field)
  if not ENUMS[enum].names[name] then malformed(field, ENUMS[enum].text) end
  return stop
end

local read_any

-- Reads the elements between two brackets, one at a time.
local function read_list(text, at, close, field, element)
  local place = skip_space(text, at + 1)
  if byte(text, place) == close then return place + 1 end
  while true do
    place = skip_space(text, element(place))
    local char = byte(text, place)
    if char == close then return place + 1 end
    if char ~= 44 then malformed(field, "must have a comma or a bracket after each element") end
    place = skip_space(text, place + 1)
  end
end

local function read_member_name(text, at, field)
  if byte(text, at) ~= 34 then malformed(field, "must have its fields' names in double quotes") end
  local name, place = read_string(text, at, field)
  place = skip_space(text, place)
  if byte(text, place) ~= 58 then
    malformed(inner(field, name), "must have a colon after its name")
  end
  return name, skip_space(text, place + 1)
end

function read_any(text, at, field, depth)
  if depth > DEPTH_MAX then malformed(field, TOO_DEEP) end
  local char = byte(text, at)
  if char == 34 then
    return skip_string(text, at, field)
  elseif char == 91 then
    return read_list(text, at, 93, field, function(place)
      return read_any(text, place, field, depth + 1)
    end)
  elseif char == 123 then
    return read_list(text, at, 125, field, function(place)
      local _, value = read_member_name(text, place, field)
      return read_any(text, value, field, depth + 1)
    end)
  end
  local _, stop = read_literal(text, at)
  if stop then return stop end
  _, stop = read_number(text, at, field)
  return stop
end

local read_message

local function read_value(text, at, known, field, depth)
  local kind, of = known[2], known[4]
  if kind == "message" then return read_message(text, at, of, nil, field, depth + 1) end
  if kind == "string" then return skip_string(text, at, field) end
  if kind == "bytes" then return skip_base64(text, at, field) end
  if LIMITS[kind] then return read_integer(text, at, known, field) end
  if kind == "enum" then return read_enum(text, at, of, field) end
  if kind == "bool" then
    local word, stop = read_literal(text, at)
    if not stop or word == "null" then malformed(field, "must be true or false") end
    return stop
  end
  return read_any(text, at, field, depth)
end

local function read_member(text, at, shape, skip, field, depth, seen)
  local name, place = read_member_name(text, at, field)
  local known = shape[name]
  if not known or (skip and skip[known[1]]) then
    fail("UNKNOWN_FIELD", inner(field, name), "must be a field of this request")
  end
  local path = inner(field, known[1])
  if seen[known[1]] then malformed(path, "must appear only once") end
  seen[known[1]] = true
  local word, stop = read_literal(text, place)
  if word == "null" then return stop end
  if not known[3] then return read_value(text, place, known, path, depth) end
  if byte(text, place) ~= 91 then malformed(path, "must be a list") end
  return read_list(text, place, 93, path, function(element)
    return read_value(text, element, known, path, depth)
  end)
end

function read_message(text, at, name, skip, field, depth)
  if depth > DEPTH_MAX then malformed(field, TOO_DEEP) end
  if byte(text, at) ~= 123 then malformed(field, OBJECTS[name]) end
  local shape, seen = MESSAGES[name], {}
  return read_list(text, at, 125, field, function(place)
    return read_member(text, place, shape, skip, field, depth, seen)
  end)
end

-- Says whether a body that is no object is JSON at all. A large one is not read for that.
local function refuse_no_object(text, at)
  if #text > READ_BYTES_MAX then malformed("", "must be a JSON object") end
  local ran, stop = pcall(read_any, text, at, "", 1)
  local is_json = ran and skip_space(text, stop) > #text
  local found = is_json and "The body is JSON but not an object." or "The body is not JSON."
  malformed("", "must be a JSON object", found .. " Send a JSON object.")
end

local function check_body(text, route)
  next_escape, next_control, escapes = 0, 0, 0
  local at = skip_space(text, 1)
  if byte(text, at) ~= 123 then refuse_no_object(text, at) end
  local stop = read_message(text, at, route.message, route.skip, "", 1)
  if skip_space(text, stop) <= #text then malformed("", "must end after the JSON object") end
end

local function check_key(headers)
  local key = headers:get("idempotency-key")
  if not key or key == "" then
    fail("IDEMPOTENCY_KEY_MISSING", "Idempotency-Key", "must be in the request")
  end
  if #key > 255 or find(key, "[^\33-\126]") or headers:getNumValues("idempotency-key") > 1 then
    fail("IDEMPOTENCY_KEY_INVALID", "Idempotency-Key",
      "must be one header with 1 to 255 printable ASCII characters without spaces")
  end
end

local function decoded(text)
  text = string.gsub(text, "%+", " ")
  return (string.gsub(text, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The transcoder also accepts " 7", "007" and an enum's number; here a value has one spelling.
local function check_parameter(text, known)
  local field, kind = known[1], known[2]
  if LIMITS[kind] then return check_integer(text, known, field) end
  if kind == "enum" and not ENUMS[known[4]].names[text] then
    malformed(field, ENUMS[known[4]].text)
  end
  if kind == "bool" and text ~= "true" and text ~= "false" then
    malformed(field, "must be true or false")
  end
end

local function check_query(path, route)
  local query = match(path, "%?(.*)$")
  if not query then return end
  local seen = {}
  for part in string.gmatch(query, "[^&]+") do
    local name, value = match(part, "^([^=]*)=?(.*)$")
    local known = route.query[name]
    if not known then fail("UNKNOWN_FIELD", shown(name), "must be a parameter of this request") end
    if seen[known[1]] and not known[3] then malformed(known[1], "must appear only once") end
    seen[known[1]] = true
    check_parameter(decoded(value), known)
  end
end

local MESSAGES_OF = {
  UNKNOWN_FIELD = "The request has an unknown field. Remove it or correct its name.",
  MALFORMED_BODY = "The request is malformed. Correct it as the details say, then retry.",
  IDEMPOTENCY_KEY_MISSING = "The header Idempotency-Key is missing. " ..
    "Send a new value for each new request, and the same value when you retry.",
  IDEMPOTENCY_KEY_INVALID =
    "The Idempotency-Key is not valid. Send 1 to 255 printable ASCII characters without spaces.",
}

local REFUSAL = '{"code":3,"message":"%s","details":[{"@type":"type.googleapis.com/' ..
  'google.rpc.ErrorInfo","reason":"%s","domain":"bp.policy.v1","metadata":{}},{"@type":' ..
  '"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"%s",' ..
  '"description":"%s"}]}]}'

local function refuse(handle, fault)
  local message = fault.message or MESSAGES_OF[fault.reason]
  local text = format(REFUSAL, message, fault.reason, fault.field, fault.description)
  local headers = {[":status"] = fault.status or "400", ["content-type"] = "application/json"}
  if fault.offer then headers[fault.offer[1]] = fault.offer[2] end
  handle:respond(headers, text)
end

local function check_head(handle, headers, route)
  if route.key then check_key(headers) end
  check_query(headers:get(":path"), route)
  if route.body == "none" then
    local length = headers:get("content-length")
    if headers:get("transfer-encoding") or (length and length ~= "0") then
      malformed("", "must be a request without a body")
    end
  end
end

-- A partner's body is signed and not read here, but it must be JSON without a content coding. The
-- answer is empty, so the Accept header has no effect: refusing a notice would only delay money.
local function media_fault(headers, route)
  if route.body == "none" then return accept_fault(headers) end
  if route.body == "raw" then return coding_fault(headers) or kind_fault(headers) end
  return coding_fault(headers) or accept_fault(headers)
end

-- The transcoder knows only the plain spelling of the colon before a custom verb. No other part of
-- a path that matches a route has an encoded colon.
local function decode_colon(headers)
  local path, query = match(headers:get(":path"), "^([^?]*)(.*)$")
  local plain, found = string.gsub(path, "%%3[Aa]", ":")
  if found > 0 then headers:replace(":path", plain .. query) end
end

function envoy_on_request(handle)
  local metadata = handle:metadata()
  local allow = metadata:get("allow")
  if allow then return handle:respond({[":status"] = "204", ["allow"] = allow}, nil) end
  local route = ROUTES[metadata:get("route")]
  if not route then return end
  local headers = handle:headers()
  if route.customer and not has_sound_token(handle, headers) then return unauthenticated(handle) end
  local kind = headers:get("content-type")
  -- The transcoder passes gRPC requests on unchanged. Envoy turns this refusal into a gRPC status.
  if kind and find(string.lower(kind), "^application/grpc") then
    return refuse(handle, MEDIA_FAULTS.kind)
  end
  local sound, fault = pcall(check_head, handle, headers, route)
  if not sound then return refuse(handle, fault) end
  fault = media_fault(headers, route)
  if fault then return refuse(handle, fault) end
  decode_colon(headers)
  if headers:get(":method") == "HEAD" then answer_as_get(handle, headers) end
  if route.etag then keep_known_tags(handle, headers) end
  if route.body ~= "json" then return end
  local bytes_max = metadata:get("body_bytes_max")
  -- If the body is empty, the content type has no meaning, so its fault is used after the wait.
  fault = kind_fault(headers)
  -- `headers` is no longer valid after the wait for the body, so it is fetched again.
  local body = handle:body(true)
  local length = body:length()
  -- The buffer filter accepts any body that arrives in one frame of HTTP/2, of up to 16 KiB.
  if length > bytes_max then return handle:respond({[":status"] = "413"}) end
  if length == 0 then
    body:setBytes("{}")
    handle:headers():replace("content-type", "application/json")
    return
  end
  if fault then return refuse(handle, fault) end
  sound, fault = pcall(check_body, body:getBytes(0, length), route)
  if not sound then refuse(handle, fault) end
end
