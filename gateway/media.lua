-- The media types, charsets and codings of requests and responses: plain JSON in UTF-8 both ways.
--
-- A fault has an HTTP status, a reason and the name of the wrong header. `offer` is the header of
-- the answer that says what the gateway accepts (RFC 9110, 12.5 and 15.5.16).

local MEDIA_FAULTS = {
  kind = {
    status = "415", reason = "UNSUPPORTED_MEDIA_TYPE", field = "Content-Type",
    description = "must be application/json",
    message = "The Content-Type is not supported. Send application/json.",
    offer = {"accept", "application/json"},
  },
  charset = {
    status = "415", reason = "UNSUPPORTED_MEDIA_TYPE", field = "Content-Type",
    description = "must have the charset UTF-8",
    message = "The charset is not supported. Send JSON in UTF-8.",
    offer = {"accept", "application/json"},
  },
  coding = {
    status = "415", reason = "UNSUPPORTED_MEDIA_TYPE", field = "Content-Encoding",
    description = "must be identity or absent",
    message = "The Content-Encoding is not supported. Send the body without compression.",
    offer = {"accept-encoding", "identity"},
  },
  accept = {
    status = "406", reason = "NOT_ACCEPTABLE", field = "Accept",
    description = "must accept application/json",
    message = "The response is always application/json. Add it to the Accept header.",
  },
}

local function is_json(kind)
  return kind == "application/json" or string.find(kind, "^application/json *;") ~= nil
end

local function is_utf8(kind)
  for charset in string.gmatch(kind, ';%s*charset%s*=%s*"?([^;"%s]*)') do
    if charset ~= "utf-8" and charset ~= "utf8" then return false end
  end
  return true
end

-- Returns the fault of a Content-Type, or nil.
local function kind_fault(headers)
  local kind = string.lower(headers:get("content-type") or "")
  if not is_json(kind) then return MEDIA_FAULTS.kind end
  if not is_utf8(kind) then return MEDIA_FAULTS.charset end
end

-- Returns the fault of a Content-Encoding, or nil. Without this check, compressed bytes would be
-- read as JSON.
local function coding_fault(headers)
  for coding in string.gmatch(headers:get("content-encoding") or "", "[^,%s]+") do
    if string.lower(coding) ~= "identity" then return MEDIA_FAULTS.coding end
  end
end

local RANKS = {["*"] = 1, ["*/*"] = 1, ["application/*"] = 2, ["application/json"] = 3}

-- Returns the fault of an Accept, or nil. The most specific range decides. Some clients send a
-- single star for */*, or a quality such as .5 for 0.5; both are accepted.
local function accept_fault(headers)
  local accept = string.lower(headers:get("accept") or "")
  if not string.find(accept, "[^,%s]") then return end
  local best, quality = 0, 0
  for range in string.gmatch(accept, "[^,]+") do
    local rank = RANKS[string.match(range, "^%s*([^;%s]*)")] or 0
    local weight = tonumber(string.match(range, ";%s*q%s*=%s*([%d.]+)") or 1) or 1
    if rank > best then
      best, quality = rank, weight
    elseif rank == best then
      quality = math.max(quality, weight)
    end
  end
  if best == 0 or quality == 0 then return MEDIA_FAULTS.accept end
end
