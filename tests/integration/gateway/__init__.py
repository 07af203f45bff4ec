"""The Lua code of the gateway, in a real interpreter."""
