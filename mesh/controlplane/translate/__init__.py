"""Translates the model into Envoy's resources. Pure: no sockets, no clock, no files.

The one exception is the Lua source of the request check, which is part of the program.
`SecretSource` says how a secret reaches a proxy (a watched file or a stream), so the same
translation works for every delivery method.
"""
