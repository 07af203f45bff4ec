-- Checks the claims of a customer's token. Envoy's token filter has verified the signature and the
-- issuer, kept the claims in the stream's metadata and copied some of them into headers.
--
-- gateway/request_check.py puts this table before the code:
--   TOKEN = {lifetime_s = longest remaining lifetime, skew_s = how long a token is accepted after
--            its expiry, ahead_s = how far the issuer's clock may be ahead, audiences = accepted
--            audiences, headers = names of the headers made from claims, challenge = the value of
--            WWW-Authenticate for a refused token, step_up = the same for a token without a recent
--            second factor, with %s for the accepted age in seconds}

local CLAIMS_FROM = "envoy.filters.http.jwt_authn"
local INTEGER_MAX = 2 ^ 53
-- OpenID Connect Core 1.0, 2.
local SUBJECT_CHARS_MAX = 255

local AUDIENCES = {}
for _, audience in ipairs(TOKEN.audiences) do AUDIENCES[audience] = true end

-- RFC 7519 allows fractions of seconds in times; here they must be integers.
local function is_time(value)
  return type(value) == "number" and value >= 0 and value <= INTEGER_MAX and value % 1 == 0
end

-- Envoy's arithmetic with times overflows near 2^63, so Envoy treats a token with such an expiry as
-- short-lived. Envoy does not check iat, and RFC 7519 leaves the check to the receiver. Here, iat
-- must not be in the future, except for the tolerance for the issuer's clock.
local function has_sound_times(claims)
  local now, expiry = os.time(), claims.exp
  for _, name in ipairs({"iat", "nbf"}) do
    if claims[name] ~= nil and not is_time(claims[name]) then return false end
  end
  if claims.iat ~= nil and claims.iat > now + TOKEN.ahead_s then return false end
  return is_time(expiry) and expiry >= now - TOKEN.skew_s and expiry <= now + TOKEN.lifetime_s
end

-- The claim is a string or a list of strings (RFC 7519, 4.1.3), which are compared exactly. Envoy
-- ignores the scheme and a slash at the end, so it accepts tokens for other audiences.
local function has_audience(audience)
  for _, name in ipairs(type(audience) == "table" and audience or {audience}) do
    if AUDIENCES[name] then return true end
  end
  return false
end

-- HTTP/2 and gRPC cannot carry control characters, so such a call would not reach a service.
local function has_sound_headers(headers)
  for _, name in ipairs(TOKEN.headers) do
    if string.find(headers:get(name) or "", "[^\32-\126]") then return false end
  end
  return true
end

local function has_sound_subject(subject)
  return type(subject) == "string" and #subject <= SUBJECT_CHARS_MAX
    and string.find(subject, "^[\33-\126]+$") ~= nil
end

local function check_token(handle, headers)
  local kept = handle:streamInfo():dynamicMetadata():get(CLAIMS_FROM)
  local claims = kept and kept["payload"]
  return type(claims) == "table" and has_sound_times(claims) and has_audience(claims.aud)
    and has_sound_subject(claims.sub) and has_sound_headers(headers)
end

-- After a Lua error, Envoy would let the request pass, so an error is treated as a refusal.
local function has_sound_token(handle, headers)
  local ran, sound = pcall(check_token, handle, headers)
  return ran and sound
end

local function unauthenticated(handle)
  local headers = {[":status"] = "401", ["content-type"] = "application/json"}
  headers["www-authenticate"] = TOKEN.challenge
  handle:respond(headers, REPLIES[401])
end
