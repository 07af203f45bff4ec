-- Reads the strings of a JSON body, and the space between its parts.
--
-- The functions get the whole body and a position in it. A refusal is an error that the request
-- check catches: it names the field and says what the field must be.

local find, sub, byte = string.find, string.sub, string.byte

-- More than the gateway's usual body can have, and twice as many as a picture in base64 needs if
-- the app escapes each slash. A large body of nothing but escapes would block the proxy.
local ESCAPES_MAX = 65536

local function fail(reason, field, description, message)
  error({reason = reason, field = field, description = description, message = message}, 0)
end

local function malformed(field, description, message)
  fail("MALFORMED_BODY", field, description, message)
end

-- Loops over single bytes are compiled to machine code, so megabytes of spaces cost milliseconds.
local function skip_space(text, at)
  local char = byte(text, at)
  while char == 32 or char == 9 or char == 13 or char == 10 do
    at = at + 1
    char = byte(text, at)
  end
  return at
end

-- The next backslash and the next control character of the body that is being checked. A search
-- that is repeated for each string would read a large body many times.
local next_escape, next_control, escapes = 0, 0, 0

local function find_escape(text, from)
  if next_escape < from then next_escape = find(text, "\\", from, true) or #text + 1 end
  return next_escape
end

local function find_control(text, from)
  if next_control < from then
    local _, last = find(text, "^%C*", from)
    next_control = last + 1
  end
  return next_control
end

-- The second characters of the escape sequences that have two: " / \ b f n r t
local SHORT_ESCAPES = {
  [34] = true, [47] = true, [92] = true, [98] = true,
  [102] = true, [110] = true, [114] = true, [116] = true,
}

-- Returns the position after an escape sequence, from its backslash.
local function skip_escape(text, at, field)
  if escapes == ESCAPES_MAX then
    malformed(field, "must be a string with fewer escape sequences")
  end
  escapes = escapes + 1
  if SHORT_ESCAPES[byte(text, at + 1)] then return at + 2 end
  if find(text, "^u%x%x%x%x", at + 1) then return at + 6 end
  malformed(field, "must be a string with valid escape sequences")
end

-- Returns the position of the closing quote, or nil; `at` is the first backslash of the string.
local function skip_escapes(text, at, field)
  local char = 92
  while char == 92 do
    at = skip_escape(text, at, field)
    char = byte(text, at)
    while char and char ~= 34 and char ~= 92 do
      at = at + 1
      char = byte(text, at)
    end
  end
  return char and at
end

-- Returns the position after a string, from its opening quote.
local function skip_string(text, at, field)
  if byte(text, at) ~= 34 then malformed(field, "must be a string in double quotes") end
  local stop, escape = find(text, '"', at + 1, true), find_escape(text, at + 1)
  if stop and escape < stop then stop = skip_escapes(text, escape, field) end
  if find_control(text, at + 1) < (stop or #text + 1) then
    malformed(field, "must be a string without unescaped control characters")
  end
  if not stop then malformed(field, "must be a string with a closing quote") end
  return stop + 1
end

-- The characters of base64 and base64url (RFC 4648, 4 and 5), and the space, which the transcoder
-- ignores.
local BASE64 = {}
for char = 0, 255 do BASE64[char] = find(string.char(char), "^[%w+/=_ -]$") ~= nil end

-- Returns the position after a string of base64, from its opening quote. Some JSON libraries escape
-- slashes and padding; the transcoder checks what the escape sequences stand for.
local function skip_base64(text, at, field)
  if byte(text, at) ~= 34 then malformed(field, "must be a string in double quotes") end
  at = at + 1
  while BASE64[byte(text, at)] do at = at + 1 end
  while byte(text, at) == 92 do
    at = skip_escape(text, at, field)
    while BASE64[byte(text, at)] do at = at + 1 end
  end
  local char = byte(text, at)
  if not char then malformed(field, "must be a string with a closing quote") end
  if char ~= 34 then malformed(field, "must be base64 without a prefix such as data:") end
  return at + 1
end

-- Returns the raw text of a string, and the position after it.
local function read_string(text, at, field)
  local stop = skip_string(text, at, field)
  return sub(text, at + 1, stop - 2), stop
end
