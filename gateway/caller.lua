-- Prepares the caller's identity before any filter checks it.
--
-- gateway/caller.py puts this table before the code: PARTNERS[SPIFFE id] = the partner's name.

-- The token filter knows only the spelling "Bearer", and finds it anywhere in the header. Schemes
-- are case-insensitive, and one or more spaces follow them (RFC 9110, 11.1 and 11.4). Headers in
-- any other form are removed, so the request has no token.
local function one_spelling_of_scheme(headers)
  local sent = headers:get("authorization")
  if not sent or headers:getNumValues("authorization") > 1 then return end
  local scheme, token = string.match(sent, "^(%a+) +([%w._~+/-]+=*)$")
  if not scheme or string.lower(scheme) ~= "bearer" then return headers:remove("authorization") end
  if scheme ~= "Bearer" then headers:replace("authorization", "Bearer " .. token) end
end

-- Names the partner by its client certificate, which the handshake has verified. A certificate with
-- two identities belongs to no partner. Envoy has already removed a header that the caller sent.
local function name_partner(handle, headers)
  local connection = handle:streamInfo():downstreamSslConnection()
  if not connection then return end
  local identities = connection:uriSanPeerCertificate()
  local partner = #identities == 1 and PARTNERS[identities[1]]
  if partner then headers:replace("x-bp-partner", partner) end
end

function envoy_on_request(handle)
  local headers = handle:headers()
  one_spelling_of_scheme(headers)
  name_partner(handle, headers)
end
