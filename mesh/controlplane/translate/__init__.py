"""From the model to Envoy's resources. Pure: no socket, no clock, no file.

The Lua source of the request check is the one exception: it is read as part of the program.
`SecretSource` says how a secret reaches a proxy (a watched file now, a stream later), so the same
translation serves every way of delivery.
"""
