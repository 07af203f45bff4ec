-- Prepares the caller's identity before any filter checks it.

-- The token filter knows only the spelling "Bearer", and finds it anywhere in the header. Schemes
-- are case-insensitive, and one or more spaces follow them (RFC 9110, 11.1 and 11.4). A header of
-- another form is no token.
local function one_spelling_of_scheme(headers)
  local sent = headers:get("authorization")
  if not sent or headers:getNumValues("authorization") > 1 then return end
  local scheme, token = string.match(sent, "^(%a+) +([%w._~+/-]+=*)$")
  if not scheme or string.lower(scheme) ~= "bearer" then return headers:remove("authorization") end
  if scheme ~= "Bearer" then headers:replace("authorization", "Bearer " .. token) end
end

function envoy_on_request(handle)
  one_spelling_of_scheme(handle:headers())
end
